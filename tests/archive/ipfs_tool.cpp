/// tests/archive/ipfs_tool.cpp - the IPFS target for other languages; tests/archive/target_tool.hpp says how.
/// usage: archive_ipfs_tool SETTINGS     SETTINGS is JSON: the members of IpfsOptions
#include "archive/ipfs.hpp"

#include "archive/ipfs_upload.hpp"
#include "archive/target_tool.hpp"
#include "os/executor.hpp"
#include "os/http_client.hpp"

using namespace dvesp;
using Json = nlohmann::json;

namespace {

archive::IpfsOptions options_of(const Json& settings) {
    archive::IpfsOptions options;
    options.apis = settings.value("apis", std::vector<std::string>());
    options.gateways = settings.value("gateways", std::vector<std::string>());
    options.name = settings.value("name", "");
    options.root = settings.value("root", "");
    options.ipns_key = settings.value("ipns_key", "");
    options.pin_services = settings.value("pin_services", std::vector<std::string>());
    options.token = settings.value("token", "");
    return options;
}

Json plan(const Json& command) {
    if (command.at("do") != "plan") return {};
    const auto content = test::file_source(command.at("path").get<std::string>());
    return {{"bytes", archive::plan_file(*content).value().root.file_bytes}};
}

}  // namespace

int main(int count, char** arguments) {
    const auto client = os::make_http_client();
    const auto executor = os::make_executor(1, 1);
    const auto target =
        archive::make_ipfs_target(options_of(Json::parse(count > 1 ? arguments[1] : "{}")), *client, executor.get());
    test::serve_target(target, plan);
    client->cancel();
    executor->stop();
    return 0;
}
