// Where `rafter serve` listens, who may ask, and how much it takes on.
#include "apps/options/option_spec.h"

namespace rafter::apps {
namespace {

constexpr Subject kListenSubject{.section = "server", .heading = "Listening"};
constexpr Subject kAccessSubject{.section = "server", .heading = "Access"};
constexpr Subject kSeveralModelsSubject{.section = "server", .heading = "Several models"};
constexpr Subject kLimitSubject{.section = "server", .heading = "Limits"};
constexpr Subject kReportSubject{.section = "server", .heading = "Logs and metrics"};
constexpr NumberRange kSecondsRange{.least = 0.0, .most = 1e9};

std::vector<OptionSpec> listen_rows() {
    return {
        {.name = "host",
         .subject = kListenSubject,
         .kind = ValueKind::kText,
         .value = "HOST",
         .default_value = "127.0.0.1",
         .help = "The address or name to listen on; one that other machines reach needs --api-key-file or --insecure"},
        {.name = "port",
         .subject = kListenSubject,
         .kind = ValueKind::kWhole,
         .value = "N",
         .whole = {.least = 0, .most = 65535},
         .otherwise = "8080; none with --unix-socket",
         .help = "The TCP port; 0: any free one, which the first line of output names"},
        {.name = "unix-socket",
         .subject = kListenSubject,
         .kind = ValueKind::kFile,
         .value = "PATH",
         .help = "Listen on this Unix socket instead of a port; with --port on both"},
        {.name = "tls-cert",
         .subject = kListenSubject,
         .kind = ValueKind::kFile,
         .value = "FILE.pem",
         .needs = "tls-key",
         .help = "Certificate chain for HTTPS; SIGHUP reads it again"},
        {.name = "tls-key",
         .subject = kListenSubject,
         .kind = ValueKind::kFile,
         .value = "FILE.pem",
         .needs = "tls-cert",
         .help = "Private key of --tls-cert"},
        {.name = "served-name",
         .subject = kListenSubject,
         .kind = ValueKind::kText,
         .list = ListKind::kCommas,
         .value = "NAME",
         .otherwise = "the model's name",
         .help = "What clients may call MODEL; answers give the first"},
    };
}

std::vector<OptionSpec> several_models_rows() {
    return {
        {.name = "also-model",
         .spelled = "model",
         .has_key = false,
         .has_variable = false,
         .subject = kSeveralModelsSubject,
         .kind = ValueKind::kText,
         .list = ListKind::kRepeated,
         .value = "NAME=MODEL",
         .help =
             "A model that requests may name; it is loaded when the first one does. NAME=MODEL,draft=MODEL gives it a model that drafts"},
        {.name = "models-folder",
         .spelled = "models",
         .subject = kSeveralModelsSubject,
         .kind = ValueKind::kFile,
         .value = "FOLDER",
         .help = "The same for every model in the folder, by the name of its file"},
        {.name = "models-memory",
         .subject = kSeveralModelsSubject,
         .kind = ValueKind::kBytes,
         .value = "SIZE",
         .otherwise = "what is available when one is loaded",
         .help = "Memory that models may take together, as planned; when it is short, the models that nobody has asked for longest are "
                 "unloaded"},
        {.name = "idle-unload",
         .subject = kSeveralModelsSubject,
         .kind = ValueKind::kNumber,
         .value = "S",
         .number = kSecondsRange,
         .default_value = "0",
         .help = "Unload a model that no request has named for S seconds; 0: never. A request of Ollama's may say otherwise (keep_alive)"},
    };
}

std::vector<OptionSpec> access_rows() {
    return {
        {.name = "api-key-file",
         .subject = kAccessSubject,
         .kind = ValueKind::kFile,
         .value = "FILE",
         .help =
             "Keys that clients must send (Authorization: Bearer KEY), one per line: KEY, NAME KEY, or NAME KEY cache=GROUP; keys share "
             "their prefix cache within a group only; SIGHUP reads the file again"},
        {.name = "api-key",
         .has_flag = false,
         .has_key = false,
         .subject = kAccessSubject,
         .kind = ValueKind::kText,
         .value = "KEY",
         .excludes = "api-key-file",
         .help = "One key that clients must send; a variable only, as other users of the machine can read command lines"},
        {.name = "insecure",
         .subject = kAccessSubject,
         .help = "Serve other machines without a key: whoever reaches the port may use the model"},
        {.name = "cors",
         .subject = kAccessSubject,
         .kind = ValueKind::kText,
         .list = ListKind::kCommas,
         .value = "ORIGIN",
         .otherwise = "the server's own origin and loopback ones",
         .help = "Web pages of these origins may ask too, such as https://chat.example.com; *: any, without credentials"},
        {.name = "allowed-host",
         .subject = kAccessSubject,
         .kind = ValueKind::kText,
         .list = ListKind::kCommas,
         .value = "NAME",
         .help = "Further names under which a server on a loopback address may be asked, such as a proxy's"},
    };
}

std::vector<OptionSpec> limit_rows() {
    return {
        {.name = "max-queue",
         .subject = kLimitSubject,
         .kind = ValueKind::kWhole,
         .value = "N",
         .whole = {.least = 1, .most = 1'000'000},
         .default_value = "1024",
         .help = "Sequences that may wait, of all models together; more are refused with 429"},
        {.name = "max-queue-seconds",
         .subject = kLimitSubject,
         .kind = ValueKind::kNumber,
         .value = "S",
         .number = kSecondsRange,
         .default_value = "0",
         .help = "Refuse with 429 and Retry-After what would wait longer than S predicted seconds for its first token; 0: no limit"},
        {.name = "max-request-bytes",
         .subject = kLimitSubject,
         .kind = ValueKind::kBytes,
         .value = "SIZE",
         .default_value = "32MB",
         .help = "Largest body of a request; a larger one is refused with 413"},
        {.name = "request-timeout",
         .subject = kLimitSubject,
         .kind = ValueKind::kNumber,
         .value = "S",
         .number = kSecondsRange,
         .default_value = "0",
         .help = "An answer ends S seconds after its request with what it has (finish_reason \"timeout\"); 0: no limit"},
        {.name = "drain-seconds",
         .subject = kLimitSubject,
         .kind = ValueKind::kNumber,
         .value = "S",
         .number = kSecondsRange,
         .default_value = "30",
         .help = "After SIGTERM, answers under way have S seconds to complete"},
        {.name = "max-connections",
         .subject = kLimitSubject,
         .kind = ValueKind::kWhole,
         .value = "N",
         .whole = {.least = 1, .most = 1'000'000},
         .default_value = "10000",
         .help = "Open connections; beyond it the one that has been idle longest makes room, or the new one is closed"},
    };
}

std::vector<OptionSpec> report_rows() {
    return {
        {.name = "metrics-prefix",
         .subject = kReportSubject,
         .kind = ValueKind::kText,
         .value = "PREFIX",
         .default_value = "rafter_",
         .help = "What the names of /metrics begin with; vllm: suits dashboards made for vLLM"},
        {.name = "log-format",
         .subject = kReportSubject,
         .kind = ValueKind::kText,
         .value = "FORMAT",
         .choices = {"plain", "json"},
         .default_value = "plain",
         .help = "A line for each request: plain or json"},
        {.name = "log-file",
         .subject = kReportSubject,
         .kind = ValueKind::kFile,
         .value = "FILE",
         .otherwise = "standard error",
         .help = "Where these lines go; SIGHUP opens the file anew"},
        {.name = "log-prompts", .subject = kReportSubject, .help = "Log the bodies of requests too"},
    };
}

}  // namespace

std::vector<OptionSpec> server_options() {
    std::vector<OptionSpec> rows;
    for (auto* part : {listen_rows, several_models_rows, access_rows, limit_rows, report_rows}) {
        for (OptionSpec& row : part()) rows.push_back(std::move(row));
    }
    return rows;
}

}  // namespace rafter::apps
