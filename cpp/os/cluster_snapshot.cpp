/// os/cluster_snapshot.cpp - an embedded store in a draft directory, filled, closed and put in its place.
#include "os/cluster_snapshot.hpp"

#include "node/embedded_store.hpp"
#include "os/clock.hpp"
#include "os/executor.hpp"
#include "os/files.hpp"
#include "os/new_directory.hpp"
#include "os/random.hpp"

namespace dvesp::os {
namespace {

constexpr std::size_t background_threads = 1;  // seals and merges while pages arrive

Result<void> fill(const std::string& directory, node::RemoteStore& source, node::CopyProgress& progress) {
    node::OwnedPorts ports{make_files(directory), make_clock(), make_random(),
                           make_executor(background_threads, default_parallelism())};
    DVESP_ASSIGN(const auto target, node::EmbeddedStore::open(std::move(ports), node::copy_options()));
    DVESP_TRY(node::copy_cluster(source, target->database(), progress));
    return target->close();
}

}  // namespace

Result<void> write_cluster_snapshot(node::RemoteStore& source, const std::string& path, node::CopyProgress& progress) {
    DVESP_ASSIGN(NewDirectory made, NewDirectory::create(path));
    DVESP_TRY(fill(made.draft(), source, progress));
    const auto files = make_files(made.draft());
    DVESP_TRY(files->remove(store::lock_path));  // of the process that wrote it
    DVESP_TRY(files->sync_directory(""));
    return made.finish();
}

}  // namespace dvesp::os
