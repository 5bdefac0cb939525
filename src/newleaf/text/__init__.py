"""Whatever a person has, files, folders, globs or stdin, in; plain documents out, and the decision which of them are held out.

files.py    names on the command line -> paths, always in the same order
decode.py   bytes -> text, in the encoding that they are most likely in
lines.py    a file, packed or not -> lines
rows.py     JSON lines and JSON -> rows; with tables.py CSV and TSV
shapes.py   a row -> text
read.py     Corpus: all of the above as a stream of documents, and what was left out
scripts.py  which scripts a text is written in
split.py    what is trained on and what is held out; with decide.py the rule, and with cut.py where a document is divided
rest.py     what to do when text changes while it is read
"""
