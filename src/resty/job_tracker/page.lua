-- page: the HTML page on which people watch jobs, and the policy that it is sent with.
-- What it looks like and does is in page.html beside this file; what the server offers
-- is told to it by 'render'. Knows nothing of nginx and of jobs.

local page = {}

---What of the HTTP interface the page may use.
---@class job_tracker.PageSettings
---@field base string the path below which all is, with a slash at both ends
---@field list boolean? whether GET jobs answers
---@field events boolean? whether GET events answers
---@field cancel boolean? whether POST jobs/<id>/cancel answers

-- Nothing from elsewhere, nothing inline but what carries this answer's nonce, and no
-- text that a script could turn into markup.
local POLICY = "default-src 'none'; script-src 'nonce-%s'; style-src 'nonce-%s'; "
  .. "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
  .. "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

local SETTINGS, NONCE = 'name="job-tracker" content="{}"', 'nonce=""'

-- ------------------------------------------------------------------------ at load

local function read_beside(name)
  local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or ""
  local file = assert(io.open(folder .. name, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

---The text around each occurrence of 'marks', which come in this order.
local function split(text, marks)
  local pieces, position = {}, 1
  for _, mark in ipairs(marks) do
    local from, to = text:find(mark, position, true)
    assert(from, "page.html lacks " .. mark)
    pieces[#pieces + 1] = text:sub(position, from - 1)
    position = to + 1
  end
  pieces[#pieces + 1] = text:sub(position)
  return pieces
end

local pieces = split(read_beside("page.html"), { SETTINGS, NONCE, NONCE })

-- Unbuffered: a buffer would be inherited by every worker, and so would the nonces in it.
local random = assert(io.open("/dev/urandom", "rb"))
random:setvbuf("no")

-- ---------------------------------------------------------------------- each time

local function new_nonce()
  return (random:read(16):gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
end

local function json_string(text)
  return '"' .. text:gsub('[%c"\\]', function(byte)
    return ("\\u%04x"):format(byte:byte())
  end) .. '"'
end

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }

local function settings_json(settings)
  local fields = { '"base":' .. json_string(settings.base) }
  for _, name in ipairs({ "list", "events", "cancel" }) do
    fields[#fields + 1] = ('"%s":%s'):format(name, settings[name] and "true" or "false")
  end
  return "{" .. table.concat(fields, ",") .. "}"
end

---The page for a server that offers this. Each answer needs a rendering of its own.
---@param settings job_tracker.PageSettings
---@return string html
---@return string policy the value of the header Content-Security-Policy
function page.render(settings)
  local base = settings.base
  if type(base) ~= "string" or not base:find("^/.*/$") and base ~= "/" then
    error(("render: base must be a path with a slash at both ends, got %s"):format(
      tostring(base)), 2)
  end
  local content = settings_json(settings):gsub('[&<>"]', ENTITIES)
  local nonce = new_nonce()
  local marked = ('nonce="%s"'):format(nonce)
  local html = pieces[1] .. ('name="job-tracker" content="%s"'):format(content)
    .. pieces[2] .. marked .. pieces[3] .. marked .. pieces[4]
  return html, (POLICY:format(nonce, nonce))
end

return page
