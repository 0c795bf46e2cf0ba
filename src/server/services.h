// What a route stands on that is about one model. All of it outlives every call that holds the model; for the server's thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/loading/served_model.h"
#include "grammar/grammar_compiler.h"
#include "protocols/answers/answer_format.h"
#include "server/admission/gate.h"
#include "server/http/http_server.h"
#include "server/observe/metrics.h"
#include "server/observe/prefix_watch.h"
#include "server/observe/step_watch.h"
#include "server/worker.h"

namespace rafter::server {

class Models;

struct Services {
    Models& models;  // all of the server's
    engine::ServedModel& served;
    Gate& gate;
    Workers& workers;
    Metrics& metrics;
    StepWatch& watch;
    PrefixWatch& prefixes;
    grammar::GrammarCompiler& grammars;
    std::vector<std::string> model_names;  // the first is what answers say
    protocols::AnswerFormatNames answer_format;
    std::string file_name;     // of the model, without its folder
    std::string quantization;  // of the model: "Q4_1"; "": not known
    std::int64_t started_unix_s = 0;
    double request_timeout_seconds = 0.0;  // 0: none

    [[nodiscard]] const std::string& model_name() const { return model_names.front(); }
};

}  // namespace rafter::server
