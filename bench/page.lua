-- Asks for pages of 50 packages, another one each time; the kind is the script's first argument.
local pages = {
   any = function() return "offset=" .. math.random(0, 9950) end,
   name = function() return "nameContains=ware-01&offset=" .. math.random(0, 150) end,
   hardware = function() return "hardwareIds=apalis-imx8&offset=" .. math.random(0, 2450) end,
   sorted = function() return "sortBy=Filename&sortDirection=Asc&offset=" .. math.random(0, 9950) end,
}
local page

function init(arguments)
   math.randomseed(1)
   page = pages[arguments[1]]
end

function request()
   return wrk.format("GET", "/api/v2beta/packages?limit=50&" .. page())
end
