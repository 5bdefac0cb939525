"""One small file a verb: it parses and prints. Verbs are imported when they are used."""
