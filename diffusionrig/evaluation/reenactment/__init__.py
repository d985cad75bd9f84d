"""The yardstick on real people: one picture of a person is edited towards another, which is target and truth alike."""
