"""What newleaf.settings, the command line and its parser (cyclopts) complain of."""

MESSAGES = {
    "{name} is {value}": "{name} 的值是 {value}",  # the shortest row: it is asked last
    "{name} is {value} in {path}": "{path} 里 {name} 的值是 {value}",
    "unknown setting '{name}'": "没有 {name} 这项设置",
    "unknown setting {variable} in the environment": "环境变量 {variable} 不对应任何设置",
    "{path} cannot be read as TOML: {why}": "{path} 不是正确的 TOML：{why}",
    "unknown option --{name}": "没有 --{name} 这个选项",
    "newleaf {verb} is not there yet in version {version}": "{version} 版还没有 newleaf {verb}",
    "--suite is not there yet": "--suite 还没有做好",
    "chat has no --json": "chat 不能用 --json",
    "this model knows no system prompt": "这个模型不认识系统提示",
    "the prompt on stdin is not UTF-8": "标准输入传来的开头不是 UTF-8",
    "the system refused: {why}": "系统拒绝了这个操作：{why}",
    "the system refused: {why} ({path})": "系统拒绝了这个操作：{why}（{path}）",
    "memory ran out": "内存不够",
    "this is a bug of newleaf: {kind}: {message}": "这是新叶自己的错误：{kind}: {message}",
}

PARSER = {
    "Unknown command '{word}'. Available commands: {names}": "没有 {word} 这个命令，可用的有 {names}",
    "Unknown command '{word}'. Did you mean '{name}'? Available commands: {names}": (
        "没有 {word} 这个命令，是不是想写 {name}？可用的有 {names}"
    ),
    "Command '{verb}' parameter {name} requires an argument": "命令 {verb} 缺少 {name} 的值",
    "Command '{verb}' parameter {name} requires an argument. Did you mean {other} instead of {word}?": (
        "命令 {verb} 缺少 {name} 的值；{word} 是不是想写 {other}？"
    ),
    "Parameter {name} requires an argument": "缺少 {name} 的值",
    "Parameter {name} specified multiple times": "{name} 给了不止一次",
    "Parameter {name} requires a value assigned with `=`. Use {name}=VALUE": "{name} 的值要用 = 连着写：{name}=VALUE",
    "Invalid value for {name}: unable to convert {value} into int": "{name} 的值 {value} 不是整数",
    "Invalid value for {name}: unable to convert {value} into float": "{name} 的值 {value} 不是数字",
    "Invalid value for {name}: unable to convert {value} into bool": "{name} 的值 {value} 既不是 true 也不是 false",
    "Invalid value for {name}: unable to convert {value} into {kind}": "{name} 的值 {value} 不能当作 {kind}",
    "Invalid value for {name}: {why}": "{name} 的值不对：{why}",
    "Invalid value {value} for {name}. Choose from: {names}": "{name} 的值不能是 {value}，可选的有 {names}",
    "Invalid value {value} for {name}. Choose from: {names}. Did you mean {other}?": (
        "{name} 的值不能是 {value}，可选的有 {names}，是不是想写 {other}？"
    ),
    "Unused Tokens: {words}": "多余的参数：{words}",
    "Cannot specify token {word} positionally for parameter {name} due to previously specified keyword {other}. "
    "{other} must either be passed positionally, or {word} must be passed as a keyword to {option}": (
        "{other} 已经写成选项，{word} 就不能再按位置当作 {name}：请把 {other} 也按位置写，或写成 {option} {word}"
    ),
    "Cannot supply keyword & non-keyword arguments to {name}": "{name} 不能既按位置写，又写成选项",
}

EXPECTED = {
    "a whole number": "整数",
    "a whole number from 0 up": "不小于 0 的整数",
    "a number": "数字",
    "a number above 0": "大于 0 的数",
    "true or false": "true 或 false",
    "text": "文本",
    "more than {low}": "应大于 {low}",
    "more than {low} and at most {high}": "应大于 {low}，不超过 {high}",
    "at least {low} and at most {high}": "应在 {low} 到 {high} 之间",
}

HINTS = {
    "unset it": "请去掉它",
    "name a TOML file": "请指定一个 TOML 文件",
    "mend the line": "请改正这一行",
    "other commands have it; see newleaf --help": "别的命令才有它；请看 newleaf --help",
    "see newleaf --help": "请看 newleaf --help",
    "see newleaf --help for what is": "现有的请看 newleaf --help",
    "see newleaf train --help": "请看 newleaf train --help",
    "did you mean --{name}?": "是不是想写 --{name}？",
    "use newleaf generate --json": "请用 newleaf generate --json",
    "name text to measure bits per byte on": "请指定文本，在上面测每字节比特",
    "convert it first": "请先转换编码",
    "please open an issue in its repository, with the lines above": "请到新叶的代码仓库反馈，附上前面的各行",
}
