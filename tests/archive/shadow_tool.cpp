/// tests/archive/shadow_tool.cpp - the Shadow Drive target for other languages; tests/archive/target_tool.hpp says how.
/// usage: archive_shadow_tool SETTINGS     SETTINGS is JSON: the members of ShadowDriveOptions, the seed in hex
#include "archive/shadow_drive.hpp"
#include "archive/target_tool.hpp"
#include "os/http_client.hpp"

using namespace dvesp;
using Json = nlohmann::json;

namespace {

archive::ShadowDriveOptions options_of(const Json& settings) {
    archive::ShadowDriveOptions options;
    options.endpoint = settings.value("endpoint", "");
    options.account = settings.value("account", "");
    options.files_base = settings.value("files_base", "");
    options.api = settings.value("api", options.api);
    options.stall_ms = settings.value("stall_ms", options.stall_ms);
    static_cast<void>(from_hex(settings.value("seed", ""), options.seed.bytes()));
    return options;
}

}  // namespace

int main(int count, char** arguments) {
    const auto client = os::make_http_client();
    test::serve_target(archive::make_shadow_drive_target(options_of(Json::parse(count > 1 ? arguments[1] : "{}")), *client));
    return 0;
}
