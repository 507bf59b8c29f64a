"""Front doors: they carry bytes and own no rule."""
