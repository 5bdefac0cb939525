"""What is complained of when a model is tuned for a task, or asked what it was not tuned for."""

MESSAGES = {
    "{model} has no held-out examples of its own": "{model} 里没有自己留出的样例",
    "{model} does not classify": "{model} 不会分类",
    "{model} tells labels apart and writes no text": "{model} 只分辨标签，不写文字",
    "the chat template writes an answer otherwise than it asks for one": "对话模板写出的回答，和它索要回答的方式不一致",
    "tune.targets has {name}": "tune.targets 里有 {name}",
    "{source} has the label {label}": "{source} 的标签是 {label}",
    "no example to learn from in {names}": "{names} 里没有可学的样例",
    "no example to learn from in {names} ({items})": "{names} 里没有可学的样例（{items}）",
    "{source}:{line} has the columns {here}, but {source2}:{line2} has {there}": (
        "{source}:{line} 的列是 {here}，而 {source2}:{line2} 的是 {there}"
    ),
    "no example fits {count} tokens": "没有样例放得进 {count} 个词元",
    "all examples have the label {label}": "所有样例的标签都是 {label}",
    "{source} has the label {label}, which no training example has": "{source} 的标签是 {label}，训练样例里没有它",
    "tune.replay needs the text that the model learned from": "tune.replay 需要模型当初学习的文本",
}
EXPECTED = {
    "a model that was tuned to classify": "调成分类用的模型",
    "one that only adds": "只往后添加的模板",
    "one shape in a file": "一个文件里只有一种形式",
    "shorter examples": "更短的样例",
    "two labels or more": "至少两种标签",
    "newleaf tune MODEL DATA --task NAME": "这样写：newleaf tune MODEL DATA --task NAME",
    "a run of newleaf train": "newleaf train 的训练目录",
}
HINTS = {
    "name some": "请指定一些",
    "newleaf evaluate measures it": "可以用 newleaf evaluate 测它",
    "make a file of each, and name both": "分成两个文件，一起指定",
    "or take a model with a longer context": "或换用上下文更长的模型",
    "correct it, leave it out, or add examples of it": "请改正、去掉它，或补充这个标签的样例",
}
REASONS = {
    "{key} is no list of messages": "{key} 不是消息列表",
    "the role {role} is unknown: it is system, user or assistant": "不认识角色 {role}：应为 system、user 或 assistant",
    "history is no list of pairs": "history 不是成对的列表",
    "no question and answer in it: it has {names}": "没有问答：只有 {names}",
    "no column {name}": "没有 {name} 这一列",
    "a system prompt that is not the first message": "system 提示不在最前面",
    "two messages of the {role} in a row": "{role} 连着说了两次",
    "an empty answer": "回答是空的",
    "an empty question": "提问是空的",
    "the assistant speaks first": "assistant 先开口",
    "no answer in it": "没有回答",
    "no label in it: it has {names}": "没有标签：只有 {names}",
    "no text in it: it has {names}": "没有文本：只有 {names}",
    "the label {name} is no word and no number": "标签 {name} 既不是词也不是数",
    "an empty label": "标签是空的",
    "an empty text": "文本是空的",
    "no two answers in it: it has {names}": "没有两个回答：只有 {names}",
    "both answers are the same": "两个回答一样",
    "chosen and rejected are not two answers to the same": "chosen 和 rejected 回答的不是同一个问题",
    "no object with columns": "不是带列名的对象",
    "too large to be read": "太大，读不了",
}
