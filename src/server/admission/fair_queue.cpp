// Lines, their turns, and what would come of them if nobody else came.
#include "server/admission/fair_queue.h"

#include <algorithm>
#include <cmath>

namespace rafter::server {
namespace {

constexpr double kSecondsPerPriority = 30.0;  // as in the engine

}  // namespace

void FairQueue::add(QueuedArrival&& arrival) {
    auto line = std::ranges::find(lines_, arrival.key, [](const auto& each) { return each->key; });
    if (line == lines_.end()) {
        lines_.push_back(std::make_unique<Line>(Line{.key = arrival.key, .arrivals = {}}));
        line = std::prev(lines_.end());
    }
    Line* const at = line->get();
    const Rank rank{arrival.arrived - kSecondsPerPriority * arrival.priority, arrival.id};
    const std::uint64_t id = arrival.id;
    const std::size_t n = arrival.sequences.size();
    const double seconds = arrival.seconds;
    try {
        places_[id] = {.line = at, .rank = rank};
        at->arrivals.emplace(rank, std::move(arrival));
    } catch (...) {
        places_.erase(id);
        if (at->arrivals.empty()) lines_.pop_back();  // it was made for this one
        throw;
    }
    at->n_sequences += n;
    n_sequences_ += n;
    seconds_ += seconds;
}

void FairQueue::add_to(WaitingLines& lines) const {
    for (const auto& line : lines_) lines.add(line->key, line->n_sequences);
}

std::vector<FairQueue::Served> FairQueue::served() const {
    std::vector<Served> all;
    all.reserve(lines_.size());
    for (const auto& line : lines_) {
        all.push_back({.deficit = &line->deficit,
                       .first = line->arrivals.begin(),
                       .end = line->arrivals.end(),
                       .n_given = line->arrivals.begin()->second.n_given});
    }
    return all;
}

// Moves the turn on to the next line whose first sequence fits in its deficit.
void FairQueue::find_turn(Turn& turn, std::vector<Served>& lines) const {
    const auto missing = [&](const Served& line) { return line.first->second.seconds_each() - *line.deficit; };
    for (std::size_t n_passed = 0;;) {
        if (turn.line >= lines.size()) turn.line = 0;
        Served& line = lines[turn.line];
        if (!turn.begun) *line.deficit += quantum_;
        turn.begun = true;
        if (missing(line) <= 0.0) return;
        turn = {.line = turn.line + 1, .begun = false};
        if (++n_passed < lines.size()) continue;
        // Rounds in which nobody would be given anything, at once.
        double least = missing(lines[0]);
        for (const Served& other : lines) least = std::min(least, missing(other));
        const double n_rounds = std::max(0.0, std::ceil(least / quantum_) - 1.0);
        for (const Served& other : lines) *other.deficit += n_rounds * quantum_;
        n_passed = 0;
    }
}

// A line is gone.
void FairQueue::leave_turn(Turn& turn, std::size_t left) {
    if (left < turn.line) {
        --turn.line;
    } else if (left == turn.line) {
        turn.begun = false;
    }
}

std::optional<GivenSequence> FairQueue::next() {
    if (places_.empty()) return std::nullopt;
    std::vector<Served> lines = served();
    find_turn(turn_, lines);
    Line& line = *lines_[turn_.line];
    QueuedArrival& arrival = line.arrivals.begin()->second;
    line.deficit -= arrival.seconds_each();
    GivenSequence given{.id = arrival.id, .index = arrival.n_given, .sequence = std::move(arrival.sequences[arrival.n_given])};
    ++arrival.n_given;
    --line.n_sequences;
    --n_sequences_;
    if (arrival.n_given == arrival.sequences.size()) (void)take_out(given.id);
    return given;
}

std::optional<QueuedArrival> FairQueue::remove(std::uint64_t id) {
    if (!places_.contains(id)) return std::nullopt;
    return take_out(id);
}

QueuedArrival FairQueue::take_out(std::uint64_t id) {
    const auto place = places_.find(id);
    Line* const line = place->second.line;
    const auto at = line->arrivals.find(place->second.rank);
    QueuedArrival arrival = std::move(at->second);
    line->arrivals.erase(at);
    places_.erase(place);
    const std::size_t n_left = arrival.sequences.size() - arrival.n_given;
    line->n_sequences -= n_left;
    n_sequences_ -= n_left;
    seconds_ -= arrival.seconds;
    if (line->arrivals.empty()) {
        const auto gone = std::ranges::find(lines_, line, [](const auto& each) { return each.get(); });
        leave_turn(turn_, static_cast<std::size_t>(gone - lines_.begin()));
        lines_.erase(gone);
    }
    return arrival;
}

std::vector<FairQueue::Waiting> FairQueue::in_order() const {
    std::vector<Waiting> order;
    order.reserve(n_sequences_);
    std::vector<double> deficits;
    deficits.reserve(lines_.size());
    std::vector<Served> lines = served();
    for (Served& line : lines) line.deficit = &deficits.emplace_back(*line.deficit);
    Turn turn = turn_;
    while (!lines.empty()) {
        find_turn(turn, lines);
        Served& line = lines[turn.line];
        const QueuedArrival& arrival = line.first->second;
        *line.deficit -= arrival.seconds_each();
        order.push_back({.arrival = &arrival, .index = line.n_given});
        if (++line.n_given < arrival.sequences.size()) continue;
        if (++line.first != line.end) {
            line.n_given = line.first->second.n_given;
            continue;
        }
        lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(turn.line));
        leave_turn(turn, turn.line);
    }
    return order;
}

}  // namespace rafter::server
