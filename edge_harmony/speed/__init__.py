"""How long each stage of a clip takes on each backend: ``cases`` says what can run, ``measure`` runs one of them."""
