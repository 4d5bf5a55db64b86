"""Load and run artifacts. Needs TVM's small runtime library only, not its compiler."""
