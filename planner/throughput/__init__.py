"""Step time: a roofline by operation over the work of a step, the optimizer, what devices exchange, and the host.

Every part is a sum over kernels of what they ask (operations, bytes, calls) times what the card gives; no constant is
fitted to a model or a run, only to kinds of operations (data/throughput/constants.csv).
"""
