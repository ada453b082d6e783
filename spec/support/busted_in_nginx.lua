-- luacheck: std +ngx_lua
-- Runs files of specs inside a worker of nginx, in a timer, by busted as a library. To be
-- loaded there; whoever started nginx asks for the outcomes. Knows nothing of what is
-- tested.

local cjson = require "cjson"
local semaphore = require "ngx.semaphore"

local busted_in_nginx = {}

local LONGEST = 60 -- seconds

---@class Outcome of a test, or of an error beside the tests
---@field name string
---@field status "success"|"pending"|"failure"|"error"
---@field message string?

-- Leaves those tests out, as busted's own filters do.
local function leave_out(busted, excluded)
  local function keep(name)
    local names, parent = { name }, busted.context.get()
    while parent and parent.descriptor == "describe" do
      table.insert(names, 1, parent.name)
      parent = busted.context.parent(parent)
    end
    return nil, not excluded[table.concat(names, " ")]
  end
  busted.subscribe({ "register", "it" }, keep, { priority = 1 })
end

local function collect(handler)
  local outcomes = {}
  for status, entries in pairs { success = handler.successes, pending = handler.pendings,
    failure = handler.failures, error = handler.errors } do
    for _, entry in ipairs(entries) do
      local message = entry.message and tostring(entry.message)
      local traceback = entry.trace and entry.trace.traceback
      outcomes[#outcomes + 1] = { name = entry.name, status = status,
        message = message and message .. (traceback or "") }
    end
  end
  return outcomes
end

-- Once in a worker: busted can be set up once in a Lua state.
local function run(asked)
  local busted = require "busted.core"()
  require "busted"(busted)
  require "busted.luajit"()
  local handler = require "busted.outputHandlers.base"()
  handler:subscribe { language = "en" }
  leave_out(busted, asked.excluded)
  require "busted.modules.test_file_loader"(busted, { "lua" })(asked.files, {}, {})
  require "busted.execute"(busted)(1, {})
  return collect(handler)
end

---Answers the request with the outcomes, a JSON array, or with what went wrong.
---@param asked string JSON: the files, and whatever is excluded, by the tests' full names
function busted_in_nginx.answer(asked)
  local done, answer = semaphore.new(0), nil
  assert(ngx.timer.at(0, function()
    local ran, outcomes = xpcall(run, debug.traceback, cjson.decode(asked))
    answer = ran and cjson.encode(outcomes) or outcomes
    done:post(1)
  end))
  local ended = done:wait(LONGEST)
  ngx.print(ended and answer or "the tests have not ended within a minute")
end

return busted_in_nginx
