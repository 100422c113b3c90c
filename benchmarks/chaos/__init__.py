"""Live sessions while connections and processes are cut, frozen and killed by a schedule: nothing may be lost."""
