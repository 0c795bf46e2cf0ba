// What is known of a request when it has ended: for the log, the metrics and the answer's timings.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/token_stream.h"

namespace rafter::server {

struct RequestRecord {
    std::string id;  // as the response's header x-request-id says
    std::string method, path;
    std::string client;       // its address
    std::string model;        // the name that answers give it; "": the request is about none
    std::string key;          // the API key's name; "": none was needed
    std::string traceparent;  // of the request; "": none
    std::string span_id;      // of the answer's traceparent: 16 hexadecimal digits; "": none
    int status = 0;           // 499: the client was gone first
    double seconds = 0.0;     // from the whole request to the end of the answer
    std::string error;        // the message of a status from 400 on

    // Of requests that the engine computed:
    bool computed = false;
    std::string finish_reason;  // "stop", "length", "cancelled", "timeout", "error"; of the first sequence
    std::uint32_t n_sequences = 0;
    engine::RequestTimes
        times;  // tokens summed over the sequences; seconds of the first sequence, queue_seconds with the server's own queue
    std::optional<double> first_token_seconds;  // measured, from the arrival
    std::optional<double> predicted_first_token_seconds, predicted_last_token_seconds;
    std::string bound;                      // of the prediction
    std::optional<double> roof_fraction;    // of what the hardware allowed in the steps while it ran
    std::vector<std::string> ignored_keys;  // of its body
};

}  // namespace rafter::server
