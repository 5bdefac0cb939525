"""One small file a verb: it parses and prints. Verbs are imported when they are used."""

STDIN = "\0stdin"  # what "-" becomes while the options are parsed: a bare dash looks like an option there
