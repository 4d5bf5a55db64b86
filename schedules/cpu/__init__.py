"""Schedules for CPUs, x86 and Arm: one space, whose default decisions follow the vector width and registers."""
