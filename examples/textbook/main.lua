-- main: the command line of the textbook pipeline. It opens the store, runs the
-- pipeline as a job of it, shows a person how it goes, and says by its exit code
-- how it ended. Run it from anywhere: lua5.4 examples/textbook/main.lua --help

local folder = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = folder .. "/?.lua;" .. package.path
-- Inside the project the module that `make` has built will do; an installed one,
-- or one that LUA_CPATH names, comes first.
local abi = jit and "luajit" or "5.4"
package.cpath = ("%s;%s/../../build/%s/?.so"):format(package.cpath, folder, abi)

local files = require "textbook.files"
local Job = require "textbook.job"
local options = require "textbook.options"
local pipeline = require "textbook.pipeline"

local EXIT = { done = 0, failed = 1, usage = 2, store = 3, interrupted = 130 }

local function leave(code, message)
  if message then io.stderr:write("textbook: ", message, "\n") end
  os.exit(code, true)
end

local function open_tracker(path)
  local found, module = pcall(require, "job_tracker")
  if not found then
    return nil, "the module job_tracker is missing (run make, or install it):\n" .. module
  end
  local made, message = files.make_folder(files.folder_of(path))
  if not made then return nil, message end
  return module.JobTracker.open(path)
end

local function show(progress, step)
  print(("[%3.0f%%] %s"):format(progress * 100, step))
end

local chosen, complaint = options.read(arg, folder .. "/shared_memory.md")
if not chosen then leave(EXIT.usage, complaint .. " (--help explains)") end
if chosen.help then
  io.stdout:write(options.HELP)
  leave(EXIT.done)
end

-- A pipe is read by somebody who waits for the line, as a terminal is.
io.stdout:setvbuf("line")

local tracker, trouble = open_tracker(chosen.store)
if not tracker then leave(EXIT.store, trouble) end
local job, refusal = Job.create(tracker, "textbook",
                                chosen.quiet and function() end or show)
if not job then leave(EXIT.store, ("%s: %s"):format(chosen.store, refusal)) end
print(chosen.quiet and job.id or ("job %s in %s"):format(job.id, chosen.store))

local context = { path = chosen.path, out = chosen.out, pace = chosen.pace }
local done, failure = pipeline.run(context, job)
if done then
  if not chosen.quiet then print(pipeline.summary(context.result)) end
  leave(EXIT.done)
end
if failure.traceback then io.stderr:write(failure.traceback, "\n") end
leave(failure.interrupted and EXIT.interrupted or EXIT.failed, failure.message)
