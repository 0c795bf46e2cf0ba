// `--profile`: the profiler, and where its report goes.
#include "apps/profile_report.h"

#include <fmt/format.h>

#include "apps/machine_profile.h"
#include "apps/output.h"
#include "base/os_file.h"
#include "planning/phase_report.h"
#include "report/units.h"

namespace rafter::apps {

using nlohmann::ordered_json;

void add_profile_options(OptionSet& options, ProfileReportOptions& profile) {
    options.add("profile", profile.format);
    options.add("profile-file", profile.file);
}

Result<RunProfile> RunProfile::start(const ProfileReportOptions& options, const Environment& environment, Session& session,
                                     std::string_view verb) {
    RunProfile run;
    run.options_ = options;
    if (options.format.empty()) {
        if (!options.file.empty()) return Error{"--profile-file: needs --profile", ErrorKind::kUsage};
        return run;
    }
    if (options.format == "trace" && options.file.empty()) run.options_.file = "rafter-trace.json";
    if (!run.options_.file.empty()) {
        RAFTER_TRY(AtomicFile file, AtomicFile::create(run.options_.file));
        run.file_.emplace(std::move(file));
    }
    RAFTER_TRY(run.machine_, machine_profile(environment, session.runtime().pool(), session.runtime().isa(), verb));
    run.style_ = run.options_.file.empty() ? stderr_terminal(environment).style : report::Style{};
    run.session_ = &session;
    run.price_ = session.price_options();
    run.profiler_ = std::make_unique<engine::StepProfiler>(*session.loaded().device);
    return run;
}

Result<void> RunProfile::finish(ordered_json* in_json) {
    if (!profiler_) return {};
    const model::Program& program = session_->loaded().device->program();
    std::string text;
    if (options_.format == "trace") {
        text = planning::trace_json(session_->runtime().backend(), *profiler_, program, machine_, price_);
    } else {
        const std::vector<engine::PhaseProfile> phases = profiler_->phases(session_->runtime().backend(), machine_, price_);
        if (options_.format == "json") {
            ordered_json json{{"machine",
                               {{"cpu", machine_.key.cpu},
                                {"n_threads", machine_.key.n_threads},
                                {"isa", machine_.key.isa},
                                {"trusted", machine_.trusted},
                                {"time", machine_.time}}},
                              {"phases", ordered_json::array()}};
            for (const engine::PhaseProfile& phase : phases) json["phases"].push_back(planning::phase_json(phase, program));
            if (in_json != nullptr && options_.file.empty()) {
                (*in_json)["profile"] = std::move(json);
                return {};
            }
            text = json_text(json, 1) + "\n";
        } else {
            text = "\n";
            for (const engine::PhaseProfile& phase : phases) text += planning::phase_table(phase, program, style_) + "\n";
            text += style_.dim(fmt::format("Predicted from the machine profile, which is {} old{}.\n", probe::age_of(machine_),
                                           machine_.trusted ? "" : " and measured on a busy machine (`rafter probe` measures it again)"));
        }
    }
    if (profiler_->n_dropped() > 0) {
        fmt::print(stderr, "The run profile has only the first {} steps.\n", report::grouped(engine::StepProfiler::kMaxSteps));
    }
    if (!file_) {
        fmt::print(stderr, "{}", text);
        return {};
    }
    RAFTER_TRY_VOID(file_->write(std::as_bytes(std::span(text))));
    RAFTER_TRY_VOID(file_->commit());
    fmt::print(stderr, "The run profile is in {}{}\n", options_.file,
               options_.format == "trace" ? ": open it in ui.perfetto.dev or chrome://tracing" : "");
    return {};
}

}  // namespace rafter::apps
