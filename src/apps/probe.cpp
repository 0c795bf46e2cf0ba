// rafter probe: what this machine can do, measured. The profile goes to the cache folder, where the other verbs find it.
#include <fmt/format.h>

#include <fstream>
#include <map>
#include <memory>

#include "apps/cli.h"
#include "apps/options/flags.h"
#include "apps/output.h"
#include "apps/session.h"
#include "backend/backends.h"
#include "base/clock.h"
#include "base/os_file.h"
#include "hardware/profile.h"
#include "probe/probe.h"
#include "report/progress.h"
#include "report/staircase.h"
#include "report/table.h"
#include "report/units.h"
#include "tensor/formats/formats.h"

namespace rafter::apps {
namespace {

using hardware::BandwidthReading;
using hardware::Profile;

struct ProbeVerbOptions {
    bool json = false;
    bool quick = false;
    bool force = false;
    std::string save;
    std::string svg;
    unsigned n_threads = 0;
    std::string isa;
};

std::string threads(unsigned n) { return fmt::format("{} thread{}", n, n == 1 ? "" : "s"); }

std::string binary_bytes(double n) {
    if (n < 1024.0 * 1024.0) return fmt::format("{:.0f} KiB", n / 1024.0);
    return fmt::format("{:.0f} MiB", n / (1024.0 * 1024.0));
}

// Working set -> reading, of one number of threads.
std::map<unsigned, std::map<double, const BandwidthReading*>> by_threads(const Profile& profile) {
    std::map<unsigned, std::map<double, const BandwidthReading*>> readings;
    for (const BandwidthReading& r : profile.bandwidth) readings[r.n_threads][r.working_set_bytes] = &r;
    return readings;
}

std::string bandwidth_table(const Profile& profile, const report::Style& style) {
    const auto readings = by_threads(profile);
    if (readings.empty()) return "";
    double most = 0.0;
    for (const BandwidthReading& r : profile.bandwidth) most = std::max(most, r.bytes_per_s);
    std::vector<report::Column> columns{{"working set", report::Align::kRight}};
    for (const auto& [n, list] : readings) columns.push_back({threads(n), report::Align::kRight});
    columns.insert(columns.end(), {{"best", report::Align::kRight}, {"spread", report::Align::kRight}, {"GB/s"}, {"lies in"}});
    report::Table table(columns);
    for (const auto& [size, all] : readings.rbegin()->second) {
        std::vector<std::string> cells{binary_bytes(size)};
        for (const auto& [n, list] : readings) {
            const auto found = list.find(size);
            cells.push_back(found == list.end() ? "" : fmt::format("{:.1f}", found->second->bytes_per_s / 1e9));
        }
        const std::string spread = fmt::format("{:.0f}%", 100 * all->spread);
        cells.push_back(fmt::format("{:.1f}", all->best_bytes_per_s / 1e9));
        cells.push_back(all->spread > hardware::kNoisySpread ? style.warning(spread) : spread);
        cells.push_back(style.accent(report::bar(all->bytes_per_s / most, 30)));
        cells.push_back(style.dim(hardware::level_at(profile, size)));
        table.add(std::move(cells));
    }
    return table.render(style, "  ");
}

// Tokens a step from which on arithmetic takes longer than reading the weights from memory.
std::string ridge_of(const Profile& profile, tensor::DType dtype, const std::string& activations, double memory_seconds) {
    for (double n = 1; n <= 512; n += n < 16 ? 1 : 16) {
        const auto seconds = hardware::matrix_seconds(profile, dtype, activations, n, false);
        if (!seconds) return "";
        if (*seconds >= memory_seconds) return fmt::format("{:.0f}", n);
    }
    return "> 512";
}

std::string kernel_table(const Profile& profile, const report::Style& style) {
    constexpr double kColumns[] = {1, 4, 16, 64, 512};
    std::vector<report::Column> columns{{"weights"}, {"× acts"}, {"bits", report::Align::kRight}};
    for (const double n : kColumns) columns.push_back({fmt::format("{:.0f}", n), report::Align::kRight});
    columns.insert(columns.end(), {{"of peak", report::Align::kRight},
                                   {"memory 1", report::Align::kRight},
                                   {"of roof", report::Align::kRight},
                                   {"ridge", report::Align::kRight}});
    report::Table table(columns);
    const double memory = profile.stream_bytes_per_s;
    for (const tensor::FormatInfo& format : tensor::formats()) {
        const bool floats = hardware::matrix_seconds(profile, format.dtype, "q8", 1, false) == std::nullopt;
        const std::string activations = floats ? "f32" : "q8";
        if (!hardware::matrix_seconds(profile, format.dtype, activations, 1, false)) continue;
        std::vector<std::string> cells{std::string(format.name), activations, fmt::format("{:.2f}", format.bits_per_element())};
        double best = 0.0;
        for (const double n : kColumns) {
            const double rate = 2 * n / *hardware::matrix_seconds(profile, format.dtype, activations, n, false);
            best = std::max(best, rate);
            cells.push_back(fmt::format("{:.0f}", rate / 1e9));
        }
        const double peak = floats ? profile.float_flop_per_s : profile.int8_flop_per_s;
        cells.push_back(fmt::format("{:.0f}%", 100 * best / peak));
        const double bytes = format.bits_per_element() / 8;
        const auto cold = hardware::matrix_seconds(profile, format.dtype, activations, 1, true);
        cells.push_back(cold ? fmt::format("{:.1f} GB/s", bytes / *cold / 1e9) : "");
        cells.push_back(cold && memory > 0 ? fmt::format("{:.0f}%", 100 * bytes / *cold / memory) : "");
        cells.push_back(memory > 0 ? ridge_of(profile, format.dtype, activations, bytes / memory) : "");
        table.add(std::move(cells));
    }
    return table.render(style, "  ");
}

std::string render(const Profile& profile, double seconds, const report::Style& style) {
    const double largest = profile.bandwidth.back().working_set_bytes;
    const double memory = hardware::bandwidth_at(profile, largest, profile.key.n_threads);
    std::string text = fmt::format(
        "{}  {}\n\n", style.bold(profile.key.cpu),
        style.dim(fmt::format("{}, {}, measured in {}", threads(profile.key.n_threads), profile.key.isa, report::seconds(seconds))));
    text += style.bold("Reading") + style.dim("  GB/s of vector loads over a working set, again and again\n");
    text += bandwidth_table(profile, style) + "\n";
    text += style.bold("Computing") + style.dim("  all threads\n");
    report::Facts facts;
    const auto flops = [](double rate, const char* unit) { return fmt::format("{:.0f} G{}/s", rate / 1e9, unit); };
    facts.add("  float multiply-add", flops(profile.float_flop_per_s, "FLOP"));
    facts.add("  " + profile.int8_unit, flops(profile.int8_flop_per_s, "OP"));
    facts.add("  ridge",
              fmt::format("{:.1f} FLOP a byte in float, {:.1f} OP a byte in int8: below it, memory ({}) is the limit",
                          profile.float_flop_per_s / memory, profile.int8_flop_per_s / memory, report::bytes_per_second(memory)));
    facts.add("  barrier of all threads", fmt::format("{:.0f} ns", profile.barrier_seconds * 1e9));
    facts.add("  between two ops", fmt::format("{:.0f} ns, and {:.2f} ns for each 64 bytes that another thread wrote",
                                               profile.handover_seconds * 1e9, profile.handover_seconds_per_byte * 64e9));
    facts.add("  a step's fixed cost", fmt::format("{:.0f} ns to begin and end", profile.fork_join_seconds * 1e9));
    text += facts.render(style) + "\n";
    text += style.bold("Matrix kernels") +
            style.dim("  GFLOP/s by tokens a step, weights near; then streaming from memory with 1 token; the ridge in tokens\n");
    text += kernel_table(profile, style) + "\n";
    if (profile.trusted) {
        text += fmt::format("Repeated measurements differ by {:.0f}%: quiet enough to trust.\n", 100 * profile.noise);
    } else {
        text += style.warning(fmt::format("Not to be trusted: {}. Measure again when the machine is idle.", profile.doubt)) + "\n";
    }
    return text;
}

std::string svg_of(const Profile& profile) {
    report::Staircase staircase;
    staircase.title = profile.trusted ? "Read bandwidth by working set" : "Read bandwidth by working set: not to be trusted";
    staircase.subtitle = fmt::format("{}, {}: {}", profile.key.cpu, profile.key.isa,
                                     profile.trusted ? "repeated passes when nothing else runs; dotted: the best pass" : profile.doubt);
    for (const auto& [n, list] : by_threads(profile)) {
        report::StaircaseLine line{.label = threads(n), .points = {}};
        for (const auto& [size, r] : list) {
            line.points.push_back({.working_set_bytes = size, .bytes_per_s = r->bytes_per_s, .best_bytes_per_s = r->best_bytes_per_s});
        }
        staircase.lines.push_back(std::move(line));
    }
    for (const hardware::ProfileCache& c : profile.caches) {
        const double size = c.shared ? c.size_bytes : c.size_bytes * profile.key.n_threads;
        staircase.marks.push_back({.label = fmt::format("L{}", c.level), .size_bytes = size});
    }
    return report::staircase_svg(staircase);
}

// Files asked for are opened before the measuring, so that what cannot be written is said at once.
Result<std::optional<AtomicFile>> opened(const std::string& path) {
    if (path.empty()) return std::optional<AtomicFile>{};
    RAFTER_TRY(AtomicFile file, AtomicFile::create(path));
    return std::optional<AtomicFile>{std::move(file)};
}

Result<void> finish(std::optional<AtomicFile>& file, const std::string& text) {
    if (!file) return {};
    RAFTER_TRY_VOID(file->write(std::as_bytes(std::span(text))));
    return file->commit();
}

// Where the profile went, for people; "" where it is not kept. A profile that is not trusted would spoil the other verbs' predictions.
std::string save_profile(const Profile& profile, const std::string& save, const Environment& environment) {
    std::string saved = save;
    if (!environment.cache_folder) return saved;
    const auto path = hardware::profile_path(*environment.cache_folder, profile.key);
    const Result<void> written = hardware::write_profile(path, profile);
    if (written) return saved + (saved.empty() ? "" : " and ") + path.string();
    fmt::print(stderr, "rafter probe: the profile is not kept: {}\n", written.error().message);
    return saved;
}

Result<int> probe(const ProbeVerbOptions& options, const Environment& environment) {
    RAFTER_TRY(const std::string_view isa, backend::find_instruction_set(options.isa));
    RAFTER_TRY(std::optional<AtomicFile> save, opened(options.save));
    RAFTER_TRY(std::optional<AtomicFile> svg, opened(options.svg));
    ThreadPool pool({.n_threads = options.n_threads});
    report::Progress bar(stderr_terminal(environment), "Measuring");
    const std::int64_t start_ns = monotonic_ns();
    RAFTER_TRY(
        const Profile profile,
        probe::probe_machine(pool, isa, {.quick = options.quick, .version = version(), .progress = [&](double f, std::string_view what) {
                                             bar.update(f, what);
                                         }}));
    const double seconds = static_cast<double>(monotonic_ns() - start_ns) * 1e-9;
    bar.clear();

    RAFTER_TRY_VOID(finish(svg, svg_of(profile)));
    const bool saves = profile.trusted || options.force;
    std::string saved;
    if (saves) {
        RAFTER_TRY_VOID(finish(save, hardware::to_json(profile)));
        saved = save_profile(profile, options.save, environment);
    }
    RAFTER_TRY_VOID(write_stdout(options.json ? hardware::to_json(profile) : render(profile, seconds, stdout_style(environment))));
    if (!saved.empty() && !options.json) fmt::print(stderr, "Saved as {}: the other verbs use it.\n", saved);
    if (saves) return 0;
    fmt::print(stderr, "rafter probe: the profile is not saved: {}; measure again when the machine is idle, or save it with --force\n",
               profile.doubt);
    return options.save.empty() ? 0 : kExitFailed;
}

}  // namespace

void add_probe(CLI::App& app, Cli& cli) {
    const auto probe_options = std::make_shared<ProbeVerbOptions>();
    ProbeVerbOptions& o = *probe_options;
    Verb verb{.name = "probe", .summary = "Measure this machine: memory bandwidth, arithmetic, kernels"};
    verb.options.add("quick", o.quick);
    verb.options.add("threads", o.n_threads);
    verb.options.add("isa", o.isa);
    verb.options.add("save", o.save);
    verb.options.add("force", o.force);
    verb.options.add("svg", o.svg);
    verb.options.add("json", o.json);
    verb.footer =
        "The other verbs use the saved profile for their predictions, and measure a quick one where there is\n"
        "none. A profile that was measured while other programs used the CPUs is not saved; with --save the\n"
        "exit status is then 1.";
    verb.run = [probe_options](const Environment& environment) { return probe(*probe_options, environment); };
    add_verb(app, cli, std::move(verb));
}

}  // namespace rafter::apps
