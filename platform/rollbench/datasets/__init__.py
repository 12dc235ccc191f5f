"""One file, one data set. A data set is a frozen value: its fields are its identity, its methods make or read its clips."""
