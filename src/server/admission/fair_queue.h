// Arrivals that wait for the engine, one line a key. Lines are served in turn, each by as many predicted seconds of work as the others
// (deficit round robin: Shreedhar and Varghese, "Efficient fair queueing using deficit round-robin", SIGCOMM 1995); a key with nothing
// waiting saves nothing. In a line, higher priorities come first, each step of priority being worth half a minute of waiting; then who came
// first. Each sequence is charged by itself, so that an arrival of many delays other keys no more than many arrivals would; within its line
// the sequences of an arrival go one after another.
//
// Between two keys that both have something waiting, the seconds that they were given differ by a quantum and the largest sequence of each
// at most.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/sequence.h"
#include "server/admission/waiting_lines.h"

namespace rafter::server {

struct QueuedArrival {
    std::uint64_t id = 0;
    std::string key;
    int priority = 0;
    double arrived = 0.0;  // seconds of any clock
    double seconds = 0.0;  // of work, predicted
    std::vector<std::unique_ptr<engine::Sequence>> sequences;
    std::size_t n_given = 0;  // of them, from the front, that next() has given

    // Of one sequence: they are taken to be alike.
    [[nodiscard]] double seconds_each() const { return sequences.empty() ? 0.0 : seconds / static_cast<double>(sequences.size()); }
};

struct GivenSequence {
    std::uint64_t id = 0;  // of its arrival
    std::size_t index = 0;
    std::unique_ptr<engine::Sequence> sequence;
};

// One thread.
class FairQueue {
  public:
    explicit FairQueue(double quantum_seconds) : quantum_(quantum_seconds) {}

    // Throws without memory, and then has not taken it.
    void add(QueuedArrival&& arrival);
    // None: nothing waits. Takes a time that grows with the number of keys.
    [[nodiscard]] std::optional<GivenSequence> next();
    // What is left of an arrival, and it is gone; none: it does not wait.
    [[nodiscard]] std::optional<QueuedArrival> remove(std::uint64_t id);
    // A sequence that waits, which stays the queue's.
    struct Waiting {
        const QueuedArrival* arrival;
        std::size_t index;
    };
    // In the order in which next() would give them, if nobody came.
    [[nodiscard]] std::vector<Waiting> in_order() const;

    [[nodiscard]] bool empty() const { return places_.empty(); }
    [[nodiscard]] std::size_t n_sequences() const { return n_sequences_; }
    void add_to(WaitingLines& lines) const;
    [[nodiscard]] double seconds() const { return places_.empty() ? 0.0 : seconds_; }

  private:
    using Rank = std::pair<double, std::uint64_t>;  // the lower first; id
    using Arrivals = std::map<Rank, QueuedArrival>;
    struct Line {
        std::string key;
        double deficit = 0.0;         // seconds that it may be given
        std::size_t n_sequences = 0;  // that wait
        Arrivals arrivals;
    };
    // The lines as they are served, in turn: the real ones, or what would come of them.
    struct Served {
        double* deficit;
        Arrivals::const_iterator first, end;  // first: of what waits
        std::size_t n_given = 0;              // of its sequences
    };
    struct Turn {
        std::size_t line = 0;
        bool begun = false;  // its quantum is in its deficit
    };
    struct Place {
        Line* line;
        Rank rank;
    };
    void find_turn(Turn& turn, std::vector<Served>& lines) const;
    static void leave_turn(Turn& turn, std::size_t left);
    [[nodiscard]] std::vector<Served> served() const;
    [[nodiscard]] QueuedArrival take_out(std::uint64_t id);

    double quantum_;
    std::vector<std::unique_ptr<Line>> lines_;  // none is empty
    Turn turn_;
    std::unordered_map<std::uint64_t, Place> places_;
    std::size_t n_sequences_ = 0;
    double seconds_ = 0.0;
};

}  // namespace rafter::server
