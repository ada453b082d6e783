-- luarocks --lua-version 5.4 make
-- luarocks --lua-version 5.1 make LUA_INCDIR=/usr/include/luajit-2.1
--
-- The Makefile builds the rock too, from the sources named here: the builtin
-- build can neither hide symbols nor link with -z nodelete, and a rock without
-- that would lose the in-memory store when nginx reloads.

rockspec_format = "3.0"
package = "job_tracker"
version = "0.1.0-1"
-- The release's archive, in the folder that luarocks is called from.
source = { url = "file://job_tracker-0.1.0.tar.gz", dir = "job_tracker-0.1.0" }
description = {
  summary = "Tracks the progress of long jobs in shared memory",
  detailed = [[
    A pipeline reports status, progress and results; nginx workers, shells and
    other scripts read them or wait. There is no server in between: the jobs
    live in one region of shared memory, anonymous or in a file.]],
  license = "MIT",
  labels = { "jobs", "progress", "shared-memory", "openresty" },
}
supported_platforms = { "linux" }
dependencies = { "lua >= 5.1" }
external_dependencies = {
  LIBUUID = { header = "uuid/uuid.h" },
  JANSSON = { header = "jansson.h" },
}

local sources = ""
  .. " src/anchor.c"
  .. " src/call.c"
  .. " src/changing.c"
  .. " src/check.c"
  .. " src/clock.c"
  .. " src/copy.c"
  .. " src/fields.c"
  .. " src/handle.c"
  .. " src/job_status.c"
  .. " src/job_tracker.c"
  .. " src/json_decode.c"
  .. " src/json_encode.c"
  .. " src/json_job.c"
  .. " src/json_nul.c"
  .. " src/json_path.c"
  .. " src/json_text.c"
  .. " src/listing.c"
  .. " src/options.c"
  .. " src/reading.c"
  .. " src/schema.c"
  .. " src/timestamp.c"
  .. " src/tracker.c"
  .. " src/utf8.c"
  .. " src/waiting.c"
  .. " src/store/bury.c"
  .. " src/store/cells.c"
  .. " src/store/claim.c"
  .. " src/store/code.c"
  .. " src/store/evict.c"
  .. " src/store/file.c"
  .. " src/store/guard.c"
  .. " src/store/heap.c"
  .. " src/store/id.c"
  .. " src/store/layout.c"
  .. " src/store/list.c"
  .. " src/store/lock.c"
  .. " src/store/memory.c"
  .. " src/store/notify.c"
  .. " src/store/owner.c"
  .. " src/store/publish.c"
  .. " src/store/read.c"
  .. " src/store/record.c"
  .. " src/store/recover.c"
  .. " src/store/replace.c"
  .. " src/store/room.c"
  .. " src/store/stats.c"
  .. " src/store/summarize.c"
  .. " src/store/wait.c"
  .. " src/store/words.c"
  .. " src/store/write.c"

build = {
  type = "make",
  build_target = "rock",
  build_variables = {
    SOURCES = sources,
    LUA_INCDIR = "$(LUA_INCDIR)",
    CFLAGS = "$(CFLAGS)",
    CPPFLAGS = "-I$(LIBUUID_INCDIR) -I$(JANSSON_INCDIR)",
  },
  install_pass = false,
  install = {
    lib = { job_tracker = "build/rock/job_tracker.so" },
    lua = {
      ["job_tracker.pipeline"] = "src/job_tracker/pipeline.lua",
      ["job_tracker.pipeline.guard"] = "src/job_tracker/pipeline/guard.lua",
      ["job_tracker.pipeline.nginx"] = "src/job_tracker/pipeline/nginx.lua",
      ["job_tracker.pipeline.plan"] = "src/job_tracker/pipeline/plan.lua",
      ["job_tracker.pipeline.queue"] = "src/job_tracker/pipeline/queue.lua",
      ["job_tracker.pipeline.run"] = "src/job_tracker/pipeline/run.lua",
      ["job_tracker.pipeline.stage"] = "src/job_tracker/pipeline/stage.lua",
      ["job_tracker.pipeline.text"] = "src/job_tracker/pipeline/text.lua",
      ["resty.job_tracker"] = "src/resty/job_tracker.lua",
      ["resty.job_tracker.create"] = "src/resty/job_tracker/create.lua",
      ["resty.job_tracker.jobs"] = "src/resty/job_tracker/jobs.lua",
      ["resty.job_tracker.list"] = "src/resty/job_tracker/list.lua",
      ["resty.job_tracker.metrics"] = "src/resty/job_tracker/metrics.lua",
      ["resty.job_tracker.page"] = "src/resty/job_tracker/page.lua",
      -- No module: luarocks puts it into the folder that the name leads to, as page.html.
      ["resty.job_tracker.page_html"] = "src/resty/job_tracker/page.html",
      ["resty.job_tracker.problem"] = "src/resty/job_tracker/problem.lua",
      ["resty.job_tracker.request"] = "src/resty/job_tracker/request.lua",
      ["resty.job_tracker.settings"] = "src/resty/job_tracker/settings.lua",
      ["resty.job_tracker.source"] = "src/resty/job_tracker/source.lua",
      ["resty.job_tracker.streams"] = "src/resty/job_tracker/streams.lua",
      ["resty.job_tracker.watch"] = "src/resty/job_tracker/watch.lua",
    },
  },
}
