// How long a model takes to load, beside a plain copy of its files in the same run: bench_load MODEL [ROUNDS].
// Each round copies the files' bytes from the page cache into fresh huge pages, with as many threads as the engine has and nothing but
// memcpy, and then opens and loads the model. The first round, which may read from the disk, does not count. Memory of that size is written
// and given back before each of the two: under a hypervisor the first touch of memory that was free for long takes many times as long.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/median.h"
#include "base/os_file.h"
#include "base/os_memory.h"
#include "base/os_process_use.h"
#include "engine/loading/loaded_model.h"
#include "engine/loading/model_source.h"
#include "engine/loading/runtime.h"

namespace {

using namespace rafter;

struct Spent {
    double seconds = 0.0;
    double cpu_seconds = 0.0;  // of all threads
};

class Stopwatch {
  public:
    [[nodiscard]] Spent spent() const {
        return {.seconds = static_cast<double>(monotonic_ns() - start_ns_) * 1e-9, .cpu_seconds = read_process_use().cpu_seconds - cpu_};
    }

  private:
    double cpu_ = read_process_use().cpu_seconds;
    std::int64_t start_ns_ = monotonic_ns();
};

double best_of(const std::vector<double>& values) { return *std::min_element(values.begin(), values.end()); }

// What one kind of work took in each round.
struct Series {
    std::string name;
    std::vector<double> seconds;
    std::vector<double> cpu_seconds;

    void add(const Spent& spent) {
        seconds.push_back(spent.seconds);
        cpu_seconds.push_back(spent.cpu_seconds);
    }
    void print() const {
        fmt::print("{:<10} best {:.3f} s, median {:.3f} s; CPU time best {:.3f} s, median {:.3f} s\n", name, best_of(seconds),
                   median_of(seconds), best_of(cpu_seconds), median_of(cpu_seconds));
    }
};

Result<std::vector<MappedFile>> map_files(const std::filesystem::path& model) {
    std::vector<MappedFile> maps;
    if (!std::filesystem::is_directory(model)) {
        RAFTER_TRY(MappedFile map, MappedFile::open(model));
        maps.push_back(std::move(map));
        return maps;
    }
    for (const auto& entry : std::filesystem::directory_iterator(model)) {
        if (entry.path().extension() != ".safetensors") continue;
        RAFTER_TRY(MappedFile map, MappedFile::open(entry.path()));
        maps.push_back(std::move(map));
    }
    return maps;
}

std::size_t size_of(const std::vector<MappedFile>& maps) {
    std::size_t size_bytes = 0;
    for (const MappedFile& map : maps) size_bytes += map.bytes().size();
    return size_bytes;
}

// A tenth more than the files, since a loaded model is a little larger.
Result<void> touch_memory(const std::vector<MappedFile>& maps, ThreadPool& pool) {
    RAFTER_TRY(const PageBuffer memory, PageBuffer::allocate(size_of(maps) / 10 * 11, "memory to touch"));
    pool.run([&](unsigned thread) {
        const std::size_t first = memory.size_bytes() * thread / pool.n_threads();
        std::memset(memory.data() + first, 1, memory.size_bytes() * (thread + 1) / pool.n_threads() - first);
    });
    return {};
}

Result<Spent> copy_files(const std::filesystem::path& model, ThreadPool& pool) {
    RAFTER_TRY(const std::vector<MappedFile> maps, map_files(model));
    const std::size_t size_bytes = size_of(maps);
    const Stopwatch watch;
    RAFTER_TRY(const PageBuffer copy, PageBuffer::allocate(size_bytes, "a copy"));
    pool.run([&](unsigned thread) {
        std::byte* out = copy.data();
        for (const MappedFile& map : maps) {
            const std::size_t n = map.bytes().size();
            const std::size_t first = n * thread / pool.n_threads();
            std::memcpy(out + first, map.bytes().data() + first, n * (thread + 1) / pool.n_threads() - first);
            out += n;
        }
    });
    return watch.spent();
}

Result<void> run(const std::filesystem::path& model, int n_rounds) {
    Series copies{.name = "copy"};
    Series opens{.name = "open"};
    Series loads{.name = "load"};
    Series all{.name = "open+load"};
    std::vector<double> fractions;
    for (int round = 0; round <= n_rounds; ++round) {
        RAFTER_TRY(engine::Runtime runtime, engine::Runtime::create({}));
        RAFTER_TRY(const std::vector<MappedFile> maps, map_files(model));
        RAFTER_TRY_VOID(touch_memory(maps, runtime.pool()));
        RAFTER_TRY(const Spent copy, copy_files(model, runtime.pool()));
        RAFTER_TRY_VOID(touch_memory(maps, runtime.pool()));
        const Stopwatch watch;
        RAFTER_TRY(const engine::OpenedModel opened, engine::open_model(model));
        const Spent open = watch.spent();
        RAFTER_TRY(const engine::LoadedModel loaded, engine::load_model(runtime, opened, {}));
        const Spent both = watch.spent();
        if (round == 0) continue;
        copies.add(copy);
        opens.add(open);
        loads.add({.seconds = both.seconds - open.seconds, .cpu_seconds = both.cpu_seconds - open.cpu_seconds});
        all.add(both);
        fractions.push_back(copy.seconds / both.seconds);
    }
    for (const Series* series : {&copies, &opens, &loads, &all}) series->print();
    fmt::print("copy / (open+load), CPU time: best of each {:.0f}%\n", 100 * best_of(copies.cpu_seconds) / best_of(all.cpu_seconds));
    fmt::print("copy / (open+load): best of each {:.0f}%, median of rounds {:.0f}%\n", 100 * best_of(copies.seconds) / best_of(all.seconds),
               100 * median_of(fractions));
    return {};
}

}  // namespace

int main(int argc, char** argv) {
    const std::string rounds = argc > 2 ? argv[2] : "7";
    int n_rounds = 0;
    std::from_chars(rounds.data(), rounds.data() + rounds.size(), n_rounds);
    if (argc < 2 || n_rounds < 1) {
        fmt::print(stderr, "Usage: bench_load MODEL [ROUNDS]\n");
        return 2;
    }
    const Result<void> done = run(argv[1], n_rounds);
    if (!done) fmt::print(stderr, "{}\n", done.error().message);
    return done ? 0 : 1;
}
