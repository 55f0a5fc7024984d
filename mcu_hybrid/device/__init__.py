"""The host's side of the firmware's protocol: one client, from greeting to answers."""
