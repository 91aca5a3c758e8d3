"""What a recording says as a whole: statistics over its records. Needs numpy (extra `report`)."""
