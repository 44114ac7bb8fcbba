"""Adding up a day. Everything is whole cents; nothing here reads or prints."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from till.journal import Entry
from till.settings import Settings


@dataclass(frozen=True)
class CategoryTotals:
    """What one category took in and gave back, and the tax inside the difference."""

    category: str
    sales_cents: int
    refund_cents: int
    tax_rate_bp: int
    tax_cents: int

    @property
    def net_cents(self) -> int:
        """Sales less refunds."""
        return self.sales_cents - self.refund_cents


@dataclass(frozen=True)
class DayTotals:
    """The figures of one day."""

    sales: int
    refunds: int
    voids: int
    sales_cents: int
    refund_cents: int
    discount_cents: int
    discount_permille: int
    average_sale_cents: int
    categories: tuple[CategoryTotals, ...]

    @property
    def net_cents(self) -> int:
        """Sales less refunds; below zero when more was given back than taken in."""
        return self.sales_cents - self.refund_cents

    @property
    def tax_cents(self) -> int:
        """The tax of all categories."""
        return sum(category.tax_cents for category in self.categories)


def summarise(entries: Iterable[Entry], settings: Settings) -> DayTotals:
    """Add up the entries of one day."""
    paid: list[int] = []
    refunds = voids = refund_cents = discount_cents = 0
    by_category: dict[str, list[int]] = {}
    for entry in entries:
        if entry.kind == "void":
            voids += 1
            continue
        sums = by_category.setdefault(entry.category, [0, 0])
        if entry.kind == "sale":
            paid.append(entry.paid_cents)
            discount_cents += entry.discount_cents
            sums[0] += entry.paid_cents
        else:
            refunds += 1
            refund_cents += entry.paid_cents
            sums[1] += entry.paid_cents
    sales_cents = sum(paid)
    return DayTotals(
        sales=len(paid),
        refunds=refunds,
        voids=voids,
        sales_cents=sales_cents,
        refund_cents=refund_cents,
        discount_cents=discount_cents,
        discount_permille=permille(discount_cents, sales_cents + discount_cents),
        average_sale_cents=sales_cents // len(paid) if paid else 0,
        categories=tuple(
            _category(name, sold, returned, settings) for name, (sold, returned) in sorted(by_category.items())
        ),
    )


def permille(part: int, whole: int) -> int:
    """Return the share of ``part`` in ``whole`` in thousandths, rounded half up; 0 when ``whole`` is 0."""
    if whole == 0:
        return 0
    return (2000 * part + whole) // (2 * whole)


def included_tax(gross_cents: int, rate_bp: int) -> int:
    """Return the tax inside a gross amount, rounded half away from zero.

    ``rate_bp`` is in hundredths of a percent. A negative amount, more refunds than sales, gives the tax back.
    """
    if gross_cents < 0:
        return -included_tax(-gross_cents, rate_bp)
    whole = 10_000 + rate_bp
    return (2 * gross_cents * rate_bp + whole) // (2 * whole)


def _category(name: str, sales_cents: int, refund_cents: int, settings: Settings) -> CategoryTotals:
    rate = settings.tax_rate_bp(name)
    tax = included_tax(sales_cents - refund_cents, rate)
    return CategoryTotals(name, sales_cents, refund_cents, rate, tax)
