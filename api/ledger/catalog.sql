-- The whole catalog: a few hundred rows that are cached.
SELECT gift_id, name, price, category, rarity, animation_url, thumbnail_url, sound_url, combo, combo_window_ms,
    vip_level, wealth_xp_percent, charm_xp_percent, is_active
FROM ledger.gifts
ORDER BY price, gift_id
