"""A laboratory for facial-expression networks: train, measure, look inside, and try on a live face."""
