"""The figures of the README, measured on the real service with its real Redis. `make bench` runs them all."""
