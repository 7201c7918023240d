"""How the page and its pictures show figures, and their colours."""

# Each in light and in dark, as a variable of CSS. Blue, green and vermilion are Okabe and Ito's, which no common colour
# blindness confuses. Failures also differ in shape, and regions in place.
COLOURS = {
    "paper": ("#ffffff", "#12171d"), "card": ("#f6f8fa", "#1a2129"), "link": ("#0b5cad", "#7cc0ff"),
    "good": ("#00714f", "#3ccf9f"), "bad": ("#b84300", "#ff9a5c"),
    "ink": ("#1c2733", "#e6ebf0"), "muted": ("#5a6774", "#a3afbb"), "line": ("#d6dce2", "#37424d"),
    "first": ("#0072b2", "#56b4e9"), "second": ("#008f68", "#2fc99d"), "nowhere": ("#6b6b6b", "#b0b0b0"),
    "failed": ("#c94f00", "#ff8f4d"),
    "phase": ("#7b5aa6", "#b79ae0"), "phase-next": ("#bda6d9", "#7d62a8"),
    "shade": ("#f7f3fb", "#1c1a29"), "shade-next": ("#ede6f5", "#252136"),
}


def seconds(value: float) -> str:
    """Measured seconds, to three digits but no finer than hundredths."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2  # noqa: PLR2004
    return f"{value:.{digits}f} s"


def both(wall_s: float, full_s: float) -> str:
    """A time on both clocks."""
    return f"{seconds(wall_s)} ({seconds(full_s)})"
