// The server: models behind HTTP. Bound and loaded before it says so; drained before it ends.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/models/model_offer.h"
#include "server/server_options.h"

namespace rafter::server {

class Server {
  public:
    // models: one at least; requests that name none get the first. tell: called with sentences for a person (standard error), from any
    // thread. Fails on an address that cannot be had, on keys or certificates that cannot be read, and, with kUsage, where others than this
    // machine could ask without a key.
    [[nodiscard]] static Result<std::unique_ptr<Server>> start(std::vector<ModelOffer> models, const ServerOptions& options,
                                                               std::function<void(std::string_view)> tell);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    [[nodiscard]] std::vector<std::string> addresses() const;
    // Serves until shut_down() has come to its end.
    void run();
    // From any thread. The first call stops accepting and lets what is under way complete, for drain_seconds at most; a second one ends
    // everything at once.
    void shut_down();
    // From any thread: keys, certificate and log file, read or opened again.
    void reload();

  private:
    class Impl;
    explicit Server(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace rafter::server
