"""What this machine has to run on: accelerators through torch, the host's processor and memory, the driver."""
