-- settings: checks what setup is given and completes it with defaults. Knows neither
-- nginx nor the store. Misuse raises at the line that called setup.

local settings = {}

---@class resty.job_tracker.Request what on_create gets
---@field json any the body, decoded; nil if there is none
---@field args table<string, string> of the query: of one given twice the first, "" without a value
---@field headers table<string, string|string[]> by lower-case name
---@field method string

---@class resty.job_tracker.Options
---@field store? string path of the store file; default: the store that workers share in memory
---@field store_options? table JobTracker.open's, for a file that this nginx writes
---@field base? string the path that all requests begin with; default "/"
---@field list? boolean GET jobs
---@field events? boolean GET events, the stream of all jobs
---@field page? boolean the page for browsers
---@field metrics? boolean GET metrics, for Prometheus
---@field cancel? boolean POST jobs/<id>/cancel
---@field on_create? fun(request: resty.job_tracker.Request): string?, string?, any POST jobs
---@field authorize? fun(action: string, task_id: string?): boolean?, integer? guards all of them
---@field max_streams? integer streams and waiting requests of a worker; default 1000
---@field max_body? integer bytes of a request's body; default 65536

local LEVEL = 4 -- from 'wrong' to the caller of setup

local function shown(value)
  if type(value) == "string" then return ("%q"):format(value) end
  return (type(value) == "number" or type(value) == "boolean") and tostring(value) or type(value)
end

local function wrong(name, rule, value)
  error(("setup: %s must be %s, got %s"):format(name, rule, shown(value)), LEVEL)
end

local function is_a(kind)
  return function(value) return type(value) == kind end
end

local function is_count(low, high)
  return function(value)
    return type(value) == "number" and value >= low and value <= high and value % 1 == 0
  end
end

local function is_path(value)
  return type(value) == "string" and value ~= "" and not value:find("\0", 1, true)
end

local function is_base(value)
  return type(value) == "string" and value:find("^/[A-Za-z0-9._~/-]*$") ~= nil
    and value:sub(-1) == "/" and not value:find("//", 1, true)
end

-- Each option: what it may be, in words, its default.
local OPTIONS = {
  store = { is_path, "the path of a store file" },
  store_options = { is_a "table", "a table of JobTracker.open's options" },
  base = { is_base, "a path of A-Z a-z 0-9 . _ ~ - and /, that begins and ends with /", "/" },
  list = { is_a "boolean", "a boolean", false },
  events = { is_a "boolean", "a boolean", false },
  page = { is_a "boolean", "a boolean", false },
  metrics = { is_a "boolean", "a boolean", false },
  cancel = { is_a "boolean", "a boolean", false },
  on_create = { is_a "function", "a function" },
  authorize = { is_a "function", "a function" },
  max_streams = { is_count(1, 1000000), "an integer from 1 to 1000000", 1000 },
  max_body = { is_count(0, 2 ^ 30), "an integer of bytes from 0 to 1073741824", 65536 },
}

local function unknown(name)
  local names = {}
  for known in pairs(OPTIONS) do names[#names + 1] = known end
  table.sort(names)
  error(("setup: unknown option %s; the options are %s"):format(shown(name),
    table.concat(names, ", ")), LEVEL)
end

---@param options resty.job_tracker.Options
---@return table a copy, complete
function settings.read(options)
  if type(options) ~= "table" then wrong("its argument", "a table of options", options) end
  local read = {}
  for name, rule in pairs(OPTIONS) do read[name] = rule[3] end
  for name, value in pairs(options) do
    local rule = OPTIONS[name]
    if not rule then unknown(name) end
    if not rule[1](value) then wrong(name, rule[2], value) end
    read[name] = value
  end
  if read.store_options and not read.store then
    error("setup: store_options are of a store file: name it by store", LEVEL - 1)
  end
  read.writes = read.cancel or read.on_create ~= nil
  if read.writes and read.store_options and read.store_options.readonly then
    error("setup: cancel and on_create write the store: store_options.readonly must not be true",
      LEVEL - 1)
  end
  return read
end

return settings
