-- resty.job_tracker: jobs over HTTP, in nginx with the Lua module (OpenResty). This room
-- holds the functions that an nginx.conf names, and which request goes where; what
-- is answered is told in the rooms beside it:
--
--   settings   what setup takes            source    the tracker behind it all
--   jobs       one job, long polls         streams   Server-Sent Events
--   list       the list of jobs            create    POST: creating and cancelling
--   page       the page for people         metrics   counts for Prometheus
--   watch      who waits, and the poller   request, problem   what comes, what is refused

local create = require "resty.job_tracker.create"
local jobs = require "resty.job_tracker.jobs"
local list = require "resty.job_tracker.list"
local metrics = require "resty.job_tracker.metrics"
local problem = require "resty.job_tracker.problem"
local request = require "resty.job_tracker.request"
local settings_of = require "resty.job_tracker.settings"
local source = require "resty.job_tracker.source"
local streams = require "resty.job_tracker.streams"
local watch = require "resty.job_tracker.watch"

local job_tracker = {}

local settings  ---@type table?
local resources ---@type table<string, table> by their paths
local of_a_job  ---@type table<string, table> by what follows a job's id
local of_jobs   ---@type string where the paths of jobs begin, up to the id
local page      ---@type table the one for people; answers nothing where it is off
local shown     ---@type table<table, boolean> the resources that people see on the page

local LEVELS = { notice = ngx.NOTICE, warn = ngx.WARN, error = ngx.ERR }

local function log(level, message) ngx.log(LEVELS[level], "job_tracker: ", message) end

-- ---------------------------------------------------------------- what there is

local function send_page()
  local html, policy = require("resty.job_tracker.page").render {
    base = settings.base, cancel = settings.cancel, list = settings.list,
    events = settings.events }
  ngx.header["Content-Security-Policy"] = policy
  ngx.header["X-Content-Type-Options"] = "nosniff"
  ngx.header["Referrer-Policy"] = "no-referrer"
  problem.send("text/html; charset=utf-8", html)
end

-- What a method does, if it is switched on: 'authorize' is asked about the action.
local function may(on, action, answer) return on and { action = action, answer = answer } or nil end

-- Those that have a method, with 'prefix' before their names.
local function there_are(prefix, all)
  local found = {}
  for name, methods in pairs(all) do
    if next(methods) then found[prefix .. name] = methods end
  end
  return found
end

-- The resources there are; each has what its methods do. GET answers HEAD, too.
local function lay_out()
  if settings.page then require "resty.job_tracker.page" end -- workers may not read its files
  page = { GET = may(settings.page, "page", send_page) }
  of_jobs = settings.base .. "jobs/"
  resources = there_are(settings.base, {
    [""] = page,
    jobs = { GET = may(settings.list, "list", list.get),
             POST = may(settings.on_create, "create", create.job) },
    events = { GET = may(settings.events, "events", streams.all) },
    metrics = { GET = may(settings.metrics, "metrics", metrics.get) },
  })
  of_a_job = there_are("", {
    [""] = { GET = may(true, "read", jobs.get) },
    ["/events"] = { GET = may(true, "stream", streams.job) },
    ["/cancel"] = { POST = may(settings.cancel, "cancel", create.cancel) },
  })
  local all_jobs = resources[settings.base .. "jobs"]
  shown = { [of_a_job[""]] = true }
  if all_jobs then shown[all_jobs] = true end
end

---Says what is served, and from which store. Once, in init_by_lua.
---@param options resty.job_tracker.Options
function job_tracker.setup(options)
  settings = settings_of.read(options)
  if settings.on_create and not ngx.shared[create.DICT] then
    error(('setup: on_create needs a place for idempotency keys: put "lua_shared_dict %s 1m;" '
      .. "into http { } of nginx.conf"):format(create.DICT), 2)
  end
  if settings.writes and not pcall(require, "cjson.safe") then
    error("setup: on_create and cancel need the module cjson (Debian: lua-cjson)", 2)
  end
  local trouble = source.use(settings, log)
  if trouble then error("setup: " .. trouble, 2) end
  lay_out()
end

---Starts what each worker needs. Once, in init_worker_by_lua.
function job_tracker.init_worker()
  if not settings then error("init_worker: call setup in init_by_lua first", 2) end
  watch.start()
end

-- ----------------------------------------------------------------- the requests

-- The resource at the path, and the id if it is a job's.
local function find(path)
  if path:find(of_jobs, 1, true) ~= 1 then return resources[path] end
  local from = #of_jobs + 1
  local slash = path:find("/", from, true)
  if slash then return of_a_job[path:sub(slash)], path:sub(from, slash - 1) end
  return of_a_job[""], path:sub(from)
end

-- The same address shows a person the page where it answers a program with JSON.
local function is_for_people(resource, method)
  if not page.GET or method == "POST" or not shown[resource] then return false end
  ngx.header["Vary"] = "Accept"
  return request.prefers_html()
end

local function allowed(resource)
  local names = {}
  if resource.GET then names = { "GET", "HEAD" } end
  if resource.POST then names[#names + 1] = "POST" end
  return table.concat(names, ", ")
end

local REFUSALS = { [401] = "Say who you are.", [403] = "You may not ask for this.",
                   [404] = "There is nothing at this address." }

-- Asks the application. Answers, and returns false, if it says no.
local function authorized(action, id)
  if not settings.authorize then return true end
  local called, yes, status = pcall(settings.authorize, action, id)
  if not called then
    ngx.log(ngx.ERR, "job_tracker: authorize: ", tostring(yes)) -- log takes no tables
    problem.answer(500, "The request could not be judged; the server's error log says why.")
  elseif yes then
    return true
  else
    status = REFUSALS[status] and status or 403
    problem.answer(status, REFUSALS[status])
  end
  return false
end

---Answers a request: for content_by_lua, in a location that has all below the base.
function job_tracker.handle()
  if not settings then error("handle: call setup in init_by_lua first", 2) end
  -- All at once: of the few that a program sends who polls, that costs less than asking for
  -- three by name.
  local headers = ngx.req.get_headers(0)
  -- These two guard against changing what somebody else has changed; nobody here does. And
  -- nginx would turn to its 412 in the middle of our print, which crashes a worker in some
  -- versions of ngx_lua, Debian 12's among them (its issue 2397).
  if rawget(headers, "if-match") then ngx.req.clear_header("If-Match") end
  if rawget(headers, "if-unmodified-since") then ngx.req.clear_header("If-Unmodified-Since") end
  local resource, id = find(ngx.var.uri)
  if not resource then return problem.nothing() end
  local method = ngx.req.get_method()
  if is_for_people(resource, method) then resource, id = page, nil end
  local asked = resource[method == "HEAD" and "GET" or method]
  if not asked then return problem.method(allowed(resource)) end
  if authorized(asked.action, id) then asked.answer(settings, id, headers) end
end

---The tracker that the jobs are served from, for on_create and what it starts. nil, message,
---code while there is no store. To be asked for anew each time, unless nginx writes the store.
---@return table?
job_tracker.tracker = source.tracker

---For `error_page`: what nginx itself refuses gets the same kind of answer.
job_tracker.problem_page = problem.page

return job_tracker
