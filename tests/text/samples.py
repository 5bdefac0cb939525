"""Texts that several tests read, and a folder of files no one would want."""

import gzip
import json
import os
import struct
import zlib
from pathlib import Path

SIMPLIFIED = (
    "晋太元中，武陵人捕鱼为业。缘溪行，忘路之远近。忽逢桃花林，夹岸数百步，中无杂树，芳草鲜美，落英缤纷。渔人甚异之，复前行，欲穷其林。\n"
    "林尽水源，便得一山，山有小口，仿佛若有光。便舍船，从口入。初极狭，才通人。复行数十步，豁然开朗。土地平旷，屋舍俨然。\n"
    "昨天下午我去书店买了两本小说，一本是写给孩子的童话，另一本讲的是大海和船员的故事。老板说：“这本书卖得很好！”我很高兴。\n"
    "春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少。\n芳林新叶催陈叶，流水前波让后波。\n"
)
TRADITIONAL = (
    "晉太元中，武陵人捕魚為業。緣溪行，忘路之遠近。忽逢桃花林，夾岸數百步，中無雜樹，芳草鮮美，落英繽紛。漁人甚異之，復前行，欲窮其林。\n"
    "林盡水源，便得一山，山有小口，彷彿若有光。便舍船，從口入。初極狹，才通人。復行數十步，豁然開朗。土地平曠，屋舍儼然。\n"
    "昨天下午我去書店買了兩本小說，一本是寫給孩子的童話，另一本講的是大海和船員的故事。老闆說：「這本書賣得很好！」我很高興。\n"
    "春眠不覺曉，處處聞啼鳥。夜來風雨聲，花落知多少。\n芳林新葉催陳葉，流水前波讓後波。\n"
)
MIXED = 'print("你好，世界")  # 输出一行问候\nfor line in open("诗.txt"):  # 逐行读取\n    total += len(line)\n'
ENGLISH = "It was the best of times, it was the worst of times.\nCall me Ishmael. Some years ago, never mind how long precisely.\n"
GERMAN = "Während die Bäume blühen, läuft das Mädchen über die Brücke. „Größe ist nicht alles“, sagte sie – ganz für sich.\n"
FRENCH = "Il était une fois une princesse très âgée qui vivait à côté de la forêt. Où êtes-vous allé cet été ? Ça m’a plu.\n"
KOREAN = "안녕하세요. 오늘은 날씨가 좋습니다. 봄이 오면 꽃이 피고 여름에는 비가 내린다. 그는 책을 읽고 나서 친구를 만났다.\n"
JAPANESE = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。何でも薄暗いじめじめした所で泣いていた。\n"
RUSSIAN = "Все счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива по-своему.\n"

PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0) + zlib.compress(bytes(9000))
ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQ", 2, 62, 1, 0x401000) + bytes(range(256)) * 4
BINARY = {
    "png": PNG,
    "elf": ELF,
    "pickle": b"\x80\x04\x95\x1c\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x07weights\x94]\x94(K\x00K\x01K\x02eu.",
    "floats": struct.pack("<64f", *(0.37 * i for i in range(64))),
    "integers": struct.pack("<512i", *range(512)),
    "zip": b"PK\x03\x04\x14\x00\x00\x00\x08\x00" + zlib.compress(b"x" * 99),
    "pdf": b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n",
    "parquet": b"PAR1" + b"\x15\x04\x15\x10" * 9 + b"PAR1",
    "gzip": gzip.compress(b"text " * 50),
    "zeros": bytes(5000),
    "ones": b"\x01\x02\x03\x04" * 500,
    "text with a zero byte": b"an ordinary line\nand a zero \0 byte\n",
}


def write(folder: Path, **files: bytes | str) -> Path:
    """A folder of files; in a keyword `__` stands for a slash, `_` for a dot."""
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def lines(rows: list[object]) -> str:
    """JSON lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def awkward(folder: Path) -> Path:
    """Files and links of every unwelcome kind, and `good.txt`, the only one that can be read as it is."""
    write(folder, good_txt=SIMPLIFIED * 10, empty_txt="", spaces_txt=" \n\t\n", broken_gz=b"\x1f\x8b\x08\x00nonsense", empty_gz=b"")
    for name, data in BINARY.items():
        (folder / f"{name}.bin").write_bytes(data)
    (folder / "cut.txt.gz").write_bytes(gzip.compress(os.urandom(9000).hex().encode())[:-100])
    (folder / "bomb.txt.gz").write_bytes(gzip.compress(b"a" * (64 << 20)))
    (folder / "bomb.jsonl.gz").write_bytes(gzip.compress(b"\n" * (64 << 20)))
    (folder / "deep.json").write_text("[" * 100_000)
    (folder / "deep.jsonl").write_text('{"a":' * 100_000 + "\n")
    (folder / "numbers.json").write_text("[1, 2, 3, null, true]")
    (folder / "huge number.jsonl").write_text('{"text": ' + "9" * 10_000 + "}\n")
    (folder / "broken.json").write_text('{"text": "never ends')
    (folder / "two columns.csv").write_text("title,body\na,b\nc,d\n")
    (folder / "header.csv").write_text("text,label\n")
    (folder / "surrogate.json").write_text('{"text": "\\ud800"}')
    (folder / "nothing.jsonl").write_text("\n\n\n")
    (folder / ".hidden.txt").write_text(ENGLISH * 9)
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text(ENGLISH * 9)
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "x.pyc").write_bytes(b"\xa7\r\r\n" + bytes(12) + BINARY["pickle"])
    if os.name == "posix":
        os.mkfifo(folder / "pipe.txt")
        (folder / "device.txt").symlink_to("/dev/zero")
        (folder / "nowhere.txt").symlink_to(folder / "missing.txt")
        (folder / "itself.txt").symlink_to(folder / "itself.txt")
        (folder / "loop").symlink_to(folder)
        (folder / "deep").mkdir()
        (folder / "deep" / "up").symlink_to(folder)
    return folder
