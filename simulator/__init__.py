"""The product under one seed and a virtual clock, with every fault at every seam.

Everything that decides (payments functions, repair, both controllers, operators) runs as a process of one seeded
`scheduler`, one at a time. Between any two calls that leave a process the scheduler may run another one, and the
`network` may delay, cut, fail or repeat the call, or kill or freeze who makes it. The simulated AWS (`dynamodb`, `s3`,
`aurora`, `functions`, `metrics`, `route53`) is faithful at the level of the calls that the product makes. A seed draws
its own mix of faults (`faults`); `checkers` are pure functions over the `history`.
"""
