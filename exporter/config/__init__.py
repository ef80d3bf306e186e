"""The configuration: YAML with positions (`nodes`), frozen types (`schema`), and all problems at once (`load`)."""
