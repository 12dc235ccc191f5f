"""One file, one data set: a frozen value whose fields are its identity and whose methods make or read its clips."""
