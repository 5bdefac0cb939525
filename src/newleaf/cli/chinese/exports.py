"""What is complained of when a model comes in from elsewhere (`--from`, hub names, foreign tokenizers) or goes out (`newleaf export`)."""

MESSAGES = {
    "'auto_map' asks for code that comes with the model": "'auto_map' 要求运行模型自带的代码",
    "GGUF has no dynamic scaling of rotary positions": "GGUF 表达不了旋转位置的动态缩放",
    "llama.cpp runs YaRN with beta_fast 32, beta_slow 1 and truncate true alone": (
        "llama.cpp 的 YaRN 只有 beta_fast 32、beta_slow 1、truncate true 这一种"
    ),
    "llama.cpp has no llama3 scaling for {family}": "llama.cpp 的 {family} 没有 llama3 这种缩放",
    "llama.cpp runs GPT-2 with GELU alone, and this model has ReLU": "llama.cpp 的 GPT-2 只有 GELU，而这个模型用的是 ReLU",
    "GGUF has no such tokenizer": "GGUF 表达不了这种分词器",
    "llama.cpp has no name for this split": "llama.cpp 没有给这种切分起名字",
    "llama.cpp takes no tokenizer without merges": "llama.cpp 不接受没有合并的分词器",
    "llama.cpp would read {name} as one token, which no merge makes": "llama.cpp 会把 {name} 读成一个词元，而没有合并会得到它",
    "llama.cpp reads {word}, a word that no merge makes, in another way under the split {name}": (
        "没有合并会得到 {word} 这个词，llama.cpp 在 {name} 切分下会用另一种方式读它"
    ),
    "GGUF cannot say {flag} of the token {name}": "GGUF 表达不了词元 {name} 的 {flag}",
    "the tokenizer has {count} tokens": "分词器有 {count} 个词元",
    "{name} is no folder here, and on the hub it {why}": "这里没有 {name} 这个文件夹，模型库里{why}",
    "llama.cpp does not take {name}: {why}": "llama.cpp 不接受 {name}：{why}",
    "the export writes otherwise: {count} of {total} tokens are not the best here": (
        "导出的模型写得不一样：{total} 个词元里有 {count} 个不是这里的最优选择"
    ),
    "the export answers otherwise: log-probabilities differ by up to {number}": "导出的模型答得不一样：对数概率最多相差 {number}",
    "the export gives other ids: {ids} for {text}": "导出的分词器给出不同的编号：{text} 变成了 {ids}",
    "{path} has no decoder": "{path} 没有说明词元怎样变回文字",
    "{path} has a decoder {kind}, which is not supported": "{path} 的解码方式 {kind} 尚不支持",
    "{path} cannot be used: {why}": "{path} 用不了：{why}",
    "{path} and {name} cannot be used: {why}": "{path} 和 {name} 用不了：{why}",
    "the tokenizer in {path} names no token that ends a text": "{path} 里的分词器没有说哪个词元结束一篇文本",
    "{model} is not the model that this run was begun from": "{model} 不是这次训练开始时用的那个模型",
    "the tokenizer of {model} has {count} tokens": "{model} 的分词器有 {count} 个词元",
    "dynamic scaling by {factor} of heads of {size}": "每头 {size} 维的动态缩放，倍数 {factor}",
    "rope frequencies {low} and {high} with theta {theta}": "旋转位置的频率 {low} 和 {high}，底数 {theta}",
    "{setting} is {here} here and {there} in {model}": "这里 {setting} 是 {here}，而 {model} 里是 {there}",
    "--to is {to} and --quantize is {kind}": "--to 是 {to}，--quantize 是 {kind}",
    "this model has no chat template": "这个模型没有对话模板",
    "the chat template cannot be used: {why}": "对话模板用不了：{why}",
    "this mixture of parts has no family": "这种部件组合不属于任何模型家族",
    "{path} would be the Modelfile's name": "{path} 这个名字要留给 Modelfile",
    "{path} has no tokenizer, and GGUF needs one": "{path} 没有分词器，而 GGUF 需要它",
}

EXPECTED = {
    "a config without it": "没有这一项的配置",
    "null, or at least {number}": "应没有这一项，或不小于 {number}",
    "byte-level BPE, or SentencePiece's": "字节级 BPE，或 SentencePiece 的 BPE",
    "a run directory, a model's folder or a hub name": "训练目录、模型文件夹或模型库里的名字",
    "one that says how tokens become text": "应说明词元怎样变成文字",
    'an "eos_token"': "应有 “eos_token”",
    "at most {high}, the model's": "应不超过模型的 {high}",
    "at most {high}, what the model can look at": "应不超过 {high}，模型最多看这么长",
    "1 or more, of 4 or more": "倍数不小于 1，维数不小于 4",
    "0 < low < high, theta above 1": "应为两个从小到大的正数，底数大于 1",
    "hf, or gguf with --quantize": "hf，或 gguf 加 --quantize",
    "hf or gguf": "hf 或 gguf",
    "a new name": "一个新名字",
    "a name that ends in .gguf": "以 .gguf 结尾的名字",
    "the shape of GPT-2, Llama, Qwen2 or Qwen3": "GPT-2、Llama、Qwen2 或 Qwen3 的形状",
    "the tokenizer of a model": "模型的分词器",
    "one that was tuned for chat": "为对话微调过的模型",
    "a Jinja template of messages": "把消息排成文本的 Jinja 模板",
}

HINTS = {
    "newleaf runs no code of a model; take one of a supported family": "新叶不运行模型自带的代码，请换一个受支持的模型",
    "export with --to hf": "请用 --to hf 导出",
    "leave it out: with --from, shape and tokenizer are the model's": "请去掉它：用了 --from，形状和分词器就是那个模型的",
    "remove it, or choose another": "请删掉它，或换一个名字",
    "accept it on the model's page and set HF_TOKEN": "请在模型页面上同意，并设置 HF_TOKEN",
    "check the spelling; for a private one set HF_TOKEN": "请检查拼写；私有的模型要设置 HF_TOKEN",
    "connect, set HF_ENDPOINT to a mirror, or name a folder": "请联网，或把 HF_ENDPOINT 设成镜像，或指定一个文件夹",
    "unset it once, or name a folder": "请先取消这个设置，或指定一个文件夹",
}

REASONS = {
    "without {name} it is not known how a {kind} splits text": "没有 {name}，不知道 {kind} 怎样切分文本",
    "it has a token with the id {id}": "其中有编号为 {id} 的词元",
    "it ended with {code}": "它的进程以 {code} 结束",
    "it takes more than {seconds} seconds or {size} MB": "用时超过 {seconds} 秒，或内存超过 {size} MB",
    "it takes more than {size} MB": "内存超过 {size} MB",
    "it writes more than {count} characters": "写出的字符超过 {count} 个",
    "asks for a licence to be accepted": "要先同意它的许可",
    "is not there, or is private": "没有它，或者它是私有的",
    "cannot be: names look otherwise": "不会有这样的名字",
    "cannot be reached, nor is it in the cache": "连不上，缓存里也没有",
    "was not looked for, as HF_HUB_OFFLINE is set": "没有去找，因为设置了 HF_HUB_OFFLINE",
}
