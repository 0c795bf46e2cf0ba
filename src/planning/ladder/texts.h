// The texts that a ladder computes: English, whose logits are compared, and an edit of a program, where an answer repeats much of its
// prompt.
#pragma once

#include <string_view>

namespace rafter::planning {

inline constexpr std::string_view kProse =
    "The harbour was quiet before sunrise, and only the lamps of two fishing boats moved across the water. Anna counted the crates on the "
    "pier: eleven of herring, four of crab, and one that nobody had labelled. She wrote the numbers into the ledger, as her father had "
    "done for thirty years, and drew a line under them. When the wind turned to the north the price of fish would rise, because the "
    "smaller boats would stay at home. That was the first rule of the market, and it had never failed. The second rule was that a buyer "
    "who asks for the weather has already decided to pay less. At seven o'clock the bell rang, the doors opened, and the hall filled "
    "with voices, wet boots and the smell of salt. By noon everything would be sold, the floor would be washed, and the harbour would "
    "be quiet again until the evening.";

inline constexpr std::string_view kProgram =
    "def total_price(orders, discounts):\n"
    "    \"\"\"Sum of all orders after their discounts.\"\"\"\n"
    "    total = 0.0\n"
    "    for order in orders:\n"
    "        price = order.price * order.amount\n"
    "        if order.customer in discounts:\n"
    "            price = price * (1.0 - discounts[order.customer])\n"
    "        if order.amount > 100:\n"
    "            price = price * 0.95\n"
    "        total = total + price\n"
    "    return total\n"
    "\n"
    "def average_price(orders, discounts):\n"
    "    \"\"\"Mean price of an order after its discounts.\"\"\"\n"
    "    if len(orders) == 0:\n"
    "        return 0.0\n"
    "    return total_price(orders, discounts) / len(orders)\n";

inline constexpr std::string_view kEditedProgram =
    "def total_price(orders, discounts, currency):\n"
    "    \"\"\"Sum of all orders after their discounts, in this currency.\"\"\"\n"
    "    total = 0.0\n"
    "    for order in orders:\n"
    "        price = order.price * order.amount * currency.rate\n"
    "        if order.customer in discounts:\n"
    "            price = price * (1.0 - discounts[order.customer])\n"
    "        if order.amount > 100:\n"
    "            price = price * 0.95\n"
    "        total = total + price\n"
    "    return total\n"
    "\n"
    "def average_price(orders, discounts, currency):\n"
    "    \"\"\"Mean price of an order after its discounts, in this currency.\"\"\"\n"
    "    if len(orders) == 0:\n"
    "        return 0.0\n"
    "    return total_price(orders, discounts, currency) / len(orders)\n";

}  // namespace rafter::planning
