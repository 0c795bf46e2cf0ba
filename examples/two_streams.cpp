// two_streams MODEL PROMPT PROMPT [SEED]: two answers at once from one model, printed as they come, each piece with its answer's number.
#include <rafter/rafter.h>

#include <cstdint>
#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

int main(int argc, char** argv) try {
    if (argc < 4) {
        std::cerr << "usage: two_streams MODEL PROMPT PROMPT [SEED]\n";
        return 2;
    }
    const rafter::Model model = rafter::Model::open(argv[1], {.context = 512, .n_sequences = 2});

    rafter::Request request;
    request.max_tokens = 40;
    if (argc > 4) {
        request.sampling.temperature = 0.8;
        request.sampling.seed = std::strtoull(argv[4], nullptr, 10);
    }
    std::vector<rafter::TokenStream> streams;
    for (const std::string prompt : {argv[2], argv[3]}) {
        request.prompt = model.encode_prompt(prompt);  // encode_chat({{"user", prompt}}) asks it as a question
        streams.push_back(model.submit(request));
    }

    std::mutex printing;
    const auto print = [&](std::size_t i) {
        for (;;) {
            const rafter::Update update = streams[i].wait();
            const std::lock_guard lock(printing);
            if (!update.text.empty()) std::cout << i << ' ' << std::quoted(update.text) << std::endl;
            if (!update.finish) continue;
            std::cout << i << ' ' << to_string(update.finish->reason) << ' ' << update.finish->error << std::endl;
            return;
        }
    };
    std::thread second(print, 1);
    print(0);
    second.join();
    return 0;
} catch (const rafter::Exception& error) {
    std::cerr << "two_streams: " << error.what() << '\n';
    return 1;
}
