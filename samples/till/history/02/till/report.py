"""The text report, as wide as the paper of the receipt printer."""

from __future__ import annotations

from till.settings import Settings
from till.totals import CategoryTotals, DayTotals


def render(totals: DayTotals, settings: Settings) -> str:
    """Return the report of a day as text, with a newline at its end."""
    width = settings.width
    lines = [
        settings.shop.center(width).rstrip(),
        "Day report".center(width).rstrip(),
        "=" * width,
        _row(f"Sales ({totals.sales})", money(totals.sales_cents, settings), width),
        _row(f"Refunds ({totals.refunds})", money(-totals.refund_cents, settings), width),
        _row("Net", money(totals.net_cents, settings), width),
        _row("Voids", str(totals.voids), width),
        "-" * width,
        _row("Average sale", money(totals.average_sale_cents, settings), width),
        _row(
            f"Discounts ({percent(totals.discount_permille)})",
            money(totals.discount_cents, settings),
            width,
        ),
        "-" * width,
    ]
    for category in totals.categories:
        lines.extend(_category(category, settings))
    lines.append("=" * width)
    lines.append(_row("Tax included", money(totals.tax_cents, settings), width))
    return "\n".join(lines) + "\n"


def money(cents: int, settings: Settings) -> str:
    """Write an amount with its currency: ``-1,234.05 EUR``."""
    whole, rest = divmod(abs(cents), 100)
    sign = "-" if cents < 0 else ""
    return f"{sign}{whole:,}.{rest:02d} {settings.currency}"


def percent(permille: int) -> str:
    """Write thousandths as a percentage with one decimal: ``12.5 %``."""
    return f"{permille // 10}.{permille % 10} %"


def _category(category: CategoryTotals, settings: Settings) -> list[str]:
    rate = f"{category.tax_rate_bp / 100:g} %"
    return [
        _row(category.category, money(category.net_cents, settings), settings.width),
        _row(f"  tax {rate}", money(category.tax_cents, settings), settings.width),
    ]


def _row(label: str, value: str, width: int) -> str:
    """Put a label on the left and a value on the right; a label that is too long is cut."""
    room = max(width - len(value) - 1, 0)
    return f"{label[:room]:<{room}} {value}"
