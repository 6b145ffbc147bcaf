"""Tenders: how the cash part of a bill is paid, and how it goes back.

`taking` asks for parts and reads the answers, `settling` is what a settlement needs of them,
`returning` sends them back, `driving` is the worker's side, `debts` what a capture that failed
posts, `staff` what people of the fund do about all this. Behind them `provider` is the one
interface to whoever moves the money, with its adapters in `counters`, `credit` and `simulator`.
"""
