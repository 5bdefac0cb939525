"""What newleaf.fsio, runs, checkpoint, training and the jobs that train or verify complain of."""

DAMAGED = "{damaged} of {total} files are damaged, the first is {path}, which ", "{total} 个文件中有 {damaged} 个已损坏，第一个是 {path}："

PROBLEMS = {  # of a file, to stand after its name
    "is cut or damaged: its header does not fit": "被截断或已损坏：文件头对不上",
    "has lost its seal": "封签不见了",
    "has changed since it was written (sha256 differs)": "写好之后被改动过（sha256 不符）",
    "does not belong to the {name} beside it": "与旁边的 {name} 不配套",
    "is not as it was written": "不是写好时的样子",
    "has {count} bytes (expected {size})": "有 {count} 字节（应为 {size}）",
    "is not the one that the text was encoded with": "不是当初编码文本所用的那个",
    "is damaged in line {line}": "第 {line} 行已损坏",
    "has step {step} in line {line}": "第 {line} 行写的是第 {step} 步",
    "does not say what {checkpoint} says": "与 {checkpoint} 里的记录不一致",
    "is missing": "不见了",
    "cannot be read: {why}": "无法读取：{why}",
}

MESSAGES = {
    DAMAGED[0] + "{sentence}": DAMAGED[1] + "{sentence}",
    "no room left to write {path} ({needed} bytes needed, {free} free)": "磁盘已满，写不下 {path}（需要 {needed} 字节，剩 {free} 字节）",
    "no room left to write {path} ({free} bytes free)": "磁盘已满，写不下 {path}（剩 {free} 字节）",
    "{path} is a file": "{path} 是一个文件",
    "{path} holds something that is no run of newleaf ({names})": "{path} 里有不属于新叶训练的东西：{names}",
    "{path} is being written by {why}": "{why}正在写 {path}",
    "{path} cannot be written: {why}": "无法写入 {path}：{why}",
    "{path} is damaged: {why}": "{path} 已损坏：{why}",
    "state.json has an unexpected shape: {why}": "state.json 的内容不对：{why}",
    "{path} is not empty": "{path} 不是空的",
    "{path} was made for other text": "{path} 是为别的文本定的方案",
    "no checkpoint in {path} can be trusted": "{path} 里没有一个可信的检查点",
    "{path} holds no run, checkpoint or model": "{path} 里没有训练、检查点或模型",
    "--extend needs to know by how much": "没有说明 --extend 要延长多少",
    "--resume and --extend were given together": "--resume 和 --extend 不能同时用",
    "the budget is given by none": "没有给出预算",
    "the budget is given by {flags}": "预算只能给一种，这里有 {flags}",
    "{name} is {asked} in {path}, which was worked out for {recorded}": "{path} 里的 {name} 改成了 {asked}，而方案是按 {recorded} 算出来的",
    "{name} is {asked} here, but {path} was begun with {recorded}": "这里的 {name} 是 {asked}，而 {path} 开始时是 {recorded}",
    "{name} is {asked} here, but {path} was begun with None": "这里的 {name} 是 {asked}，而 {path} 开始时没有给",
    "the budget is {why} here, but {path} was begun with {why2}": "这里的预算是 {why}，而 {path} 开始时是 {why2}",
    "{path} is not a finished run": "{path} 不是已经完成的训练",
    "a run stands in {path}": "{path} 里已有一次训练",
    "{path} was stopped before its text was read": "{path} 在读文本之前就停下了",
    "{path} was stopped before stdin was read to its end": "{path} 在读完标准输入之前就停下了",
    "{path} has decisions that cannot be read": "{path} 里的决定无法读取",
    "{path} is the plan of a run that was extended with more text, which no recipe can repeat": (
        "{path} 是加过文本的训练的方案，不能当作配方来重复"
    ),
    "train.batch_tokens {number} is not a multiple of the context": "train.batch_tokens {number} 不是上下文长度的倍数",
    "the smallest model that these settings allow does not fit into {size} GB of memory": (
        "按这些设置，最小的模型也放不进 {size} GB 的内存"
    ),
    "at step {step} {why}, again after going back {count} times": "第 {step} 步出错：{why}；退回 {count} 次以后仍然如此",
    "at step {step} memory does not suffice for one row of {count} tokens, everything is saved": (
        "第 {step} 步：内存连一行（{count} 个词元）都放不下，一切都已存好"
    ),
    "memory does not suffice to score one window of {count} tokens": "内存连一个窗口（{count} 个词元）的评估都放不下",
    "stopped by a signal at step {step}, everything is saved": "收到信号，停在第 {step} 步，一切都已存好",
    "stopped by a signal at step {step}, the checkpoint before it stands": "收到信号，停在第 {step} 步，之前的检查点仍在",
    "stopped by a signal during the final evaluation, everything is saved": "收到信号，停在最后的评估，一切都已存好",
    "stopped by a signal, nothing was to be saved": "收到信号，停下了，没有什么要保存的",
    "stopped by {key}, nothing was to be saved": "按 {key} 停下了，没有什么要保存的",
}

MESSAGES |= {before[0] + english: before[1] + chinese for before in (("{path} ",) * 2, DAMAGED) for english, chinese in PROBLEMS.items()}

EXPECTED = {
    "a directory for the run": "训练目录",
    "an empty or new directory": "空的或新的目录",
    "a new directory for the plan": "给训练方案用的新目录",
    "a JSON object": "JSON 对象",
    "a folder that newleaf wrote": "新叶写的文件夹",
    "--minutes, --steps, --tokens or --epochs": "应有 --minutes、--steps、--tokens 或 --epochs",
    "one of --minutes, --steps, --tokens, --epochs": "--minutes、--steps、--tokens、--epochs 之一",
    "one of them": "应只用一个",
    "a table [{name}]": "表 [{name}]",
    "a multiple of {number}": "{number} 的倍数",
    "a smaller model.width, model.depth or data.vocab_size": "应把 model.width、model.depth 或 data.vocab_size 设小些",
}

HINTS = {
    "the checkpoint before it is used instead, where there is one": "如果前面还有检查点，就改用前一个",
    "it was written by another version": "它是别的版本写的",
    "what was saved before is intact: free some space, then resume": "之前存下的都完好：请腾出空间，再恢复训练",
    "choose another --out": "请换一个 --out",
    "wait for it, or choose another --out": "请等它写完，或换一个 --out",
    "run newleaf verify on the directory": "请用 newleaf verify 检查这个目录",
    "plan again with the text as it is now": "请按现在的文本重新定方案",
    "plan again with {option} {value}": "请重新定方案，加上 {option} {value}",
    "start anew with another --out": "请换一个 --out 重新开始",
    "restore it, or extend the run": "请恢复这个文件，或延长训练",
    "restore it; the checkpoints are untouched": "请恢复这个文件；检查点都还完好",
    "restore it, or start a new run": "请恢复这个文件，或重新训练",
    "restore data/, or choose another --out": "请恢复 data/，或换一个 --out",
    "leave it out to go on with this run, or choose another --out": "不写这一项就会接着这次训练，或者换一个 --out",
    "--resume finishes a run, --extend goes on after it": "--resume 把没练完的练完，--extend 在练完之后延长",
    "--extend goes on after a finished run; --resume finishes one": "--extend 用来延长练完的训练，--resume 把没练完的练完",
    "go on with: {line} (or choose another --out)": "接着练请用：{line}（或换一个 --out）",
    "name DATA again to start it": "请重新指定 DATA，从头开始",
    "pipe the text in again": "请重新把文本从管道传进来",
    "take it from a finished run again": "请从完成的训练里重新取一份",
    "name all of the text, and what you want of these settings": "请指定全部文本，再写上想用的那些设置",
    "free some memory and resume, or train anew with a smaller --model.context, --model.width or --data.vocab_size": (
        "请腾出一些内存再恢复训练，或把 --model.context、--model.width 或 --data.vocab_size 设小些，重新训练"
    ),
    "free some memory and try again; a run goes on with --resume": "请腾出一些内存再试；训练可以用 --resume 接着练",
    "free some and try again; a run goes on with --resume": "请腾出一些再试；训练可以用 --resume 接着练",
    "lower --optim.lr, or look for what is odd in the text; the best model so far is kept": (
        "请调低 --optim.lr，或看看文本里有什么异常；目前最好的模型还在"
    ),
}

REASONS = {  # why a step was not kept, who writes, how much a budget is
    "the loss is {value}": "损失为 {value}",
    "the gradient norm is {value}": "梯度范数为 {value}",
    "the loss jumped to {value} from about {typical}": "损失从 {typical} 左右跳到 {value}",
    "the held-out loss is {value}": "留出文本的损失为 {value}",
    "a weight or an optimizer value is no longer finite": "有权重或优化器里的数变成了无穷大或 NaN",
    "another process": "另一个进程",
    "process {pid} on {host}": "{host} 上编号 {pid} 的进程",
    "{count} minutes": "{count} 分钟",
    "{count} steps": "{count} 步",
    "{count} tokens": "{count} 个词元",
    "{count} epochs": "{count} 遍",
}
