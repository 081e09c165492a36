"""Files written whole, results stored beside weights, number formats and threads: what every package shares."""
